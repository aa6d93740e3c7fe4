// The browser's half of the sliced upload: one slice goes out, and the next when the kernel has kept it.
// Messages out: {kind: "begin", run, name, size}, {kind: "slice", run, at} with the bytes, {kind: "ask", run, ping} where
// no answer came, {kind: "cancel", run}.
// Messages in, each with its run: {kind: "go", at, ping}, {kind: "done", said}, {kind: "failed", said}.

const PATIENCE = 15000; // ms without an answer after which it is asked for

function render({ model, el }) {
  const make = (tag, name) => Object.assign(document.createElement(tag), { className: `lp-${name}` });
  const box = make("div", "upload");
  const choose = make("label", "choose");
  const text = make("span", "text");
  const input = Object.assign(make("input", "file"), { type: "file" });
  const cancel = Object.assign(make("button", "cancel"), { type: "button" });
  const bar = Object.assign(make("progress", "bar"), { max: 1 });
  const said = make("div", "said");
  said.setAttribute("role", "status");
  choose.append(text, input);
  box.append(choose, cancel, bar, said);
  el.append(box);

  let file = null;
  let run = 0;
  let sent = -1; // where the last slice began
  let ping = 0; // the number of the last question, if nothing was sent since
  let waiting = null; // for an answer

  const tell = () => {
    const words = model.get("_texts");
    text.textContent = words.choose;
    cancel.textContent = words.cancel;
    input.accept = model.get("_accept");
  };
  const idle = (html) => {
    file = null;
    clearTimeout(waiting);
    input.value = ""; // so that the same file may be chosen again
    input.disabled = false;
    choose.classList.remove("lp-busy");
    cancel.hidden = bar.hidden = true;
    said.innerHTML = html; // made by the toolkit, which has escaped what is not its own
  };

  const wait = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      // The slice was lost, or the kernel is busy with a cell: it says what it has as soon as it can.
      said.textContent = `${file.name}: ${model.get("_texts").waiting}`;
      model.send({ kind: "ask", run, ping: (ping += 1) });
      wait();
    }, PATIENCE);
  };
  const send = async (at) => {
    const mine = run;
    sent = at;
    ping = 0;
    try {
      const slice = await file.slice(at, at + model.get("_slice")).arrayBuffer();
      if (mine !== run || !file) return;
      model.send({ kind: "slice", run, at }, undefined, [slice]);
      wait();
    } catch {
      // the file has changed or gone since it was chosen
      if (mine !== run) return;
      model.send({ kind: "cancel", run });
      idle(model.get("_texts").broken);
    }
  };
  const begin = (chosen) => {
    file = chosen;
    run = Date.now();
    sent = -1;
    input.disabled = true;
    choose.classList.add("lp-busy");
    cancel.hidden = bar.hidden = false;
    bar.value = 0;
    said.textContent = file.name;
    model.send({ kind: "begin", run, name: file.name, size: file.size });
    wait();
  };
  const heard = (message) => {
    if (message.run !== run || !file) return;
    if (message.kind === "go") {
      if (message.ping ? message.ping !== ping : message.at <= sent) return; // an answer that has been overtaken
      bar.value = message.at / file.size;
      const size = (bytes) => (bytes / 1e6).toFixed(1);
      said.textContent = `${file.name}: ${size(message.at)} / ${size(file.size)} MB`;
      send(message.at);
    } else {
      idle(message.said);
    }
  };
  const stop = () => {
    if (file) model.send({ kind: "cancel", run });
    idle(model.get("_texts").stopped);
  };

  input.addEventListener("change", () => input.files.length && begin(input.files[0]));
  cancel.addEventListener("click", stop);
  model.on("msg:custom", heard);
  model.on("change:_texts", tell);
  tell();
  idle(model.get("_said"));
  return () => {
    if (file) stop();
    model.off("msg:custom", heard);
    model.off("change:_texts", tell);
  };
}

export default { render };
