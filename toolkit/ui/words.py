"""Every word of the panels, in English and Chinese; which: TOOLKIT_LANG, the platform's, or a switch in a panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import ipywidgets as widgets

from ..platform import LANGUAGES, language
from ..translations import translate

WidgetT = TypeVar("WidgetT", bound=widgets.Widget)

TEXTS: dict[str, tuple[str, str]] = {  # key -> English, Chinese
    # work
    "stop": ("Stop", "停止"),
    "cancel": ("Cancel", "取消"),
    "cancelling": ("stopping …", "正在停止……"),
    "stopped": ("Stopped. There is no new result.", "已停止，没有产生新的结果。"),
    "waiting": ("waiting for the run before this one …", "正在等待前一个任务结束……"),
    "getting ready": ("getting ready …", "正在准备……"),
    "stop before": ("Stop the run before", "停止前一个任务"),
    "frames a second": (", {speed} frames a second", "，每秒 {speed} 帧"),
    "megabytes a second": (", {speed} MB a second", "，每秒 {speed} MB"),
    "left": (", {seconds} s left", "，还需 {seconds} 秒"),
    "unexpected": (
        "Something went wrong that the toolkit has no words for: {error}",
        "出现了工具包没有预料到的错误：{error}",
    ),
    "unexpected remedy": (
        "Run the notebook anew; if it comes back, report it with the details.",
        "请重新运行笔记本；如果再次出现，请附上详细信息报告问题。",
    ),
    # the panel of one notebook
    "picture": ("picture", "图片"),
    "clip": ("clip", "视频"),
    "model": ("model", "模型"),
    "from second": ("from second", "起始秒"),
    "seconds": ("seconds", "秒数"),
    "strength": ("strength", "强度"),
    "smooth": ("smooth", "平滑"),
    "beside": ("show picture and clip beside the result", "结果旁边同时显示图片和视频"),
    "animate": ("Animate", "生成动画"),
    "no picture": ("No picture is named.", "没有填写图片。"),
    "no picture remedy": ("Choose one, or write the name of its file.", "请选择一张，或填写文件名。"),
    "no clip": ("No clip is named.", "没有填写视频。"),
    "no clip remedy": ("Choose one, or write the name of its file.", "请选择一段，或填写文件名。"),
    # picture and clip of the studio
    "title picture": ("Picture: who shall move", "图片：谁来动"),
    "title clip": ("Clip: how", "视频：怎么动"),
    "path": ("file", "文件"),
    "upload": ("Upload (up to {size} MB)", "上传（不超过 {size} MB）"),
    "larger": ("Larger: {how}", "更大的文件：{how}"),
    "larger too": (
        "Or run <code>from toolkit.ui import Upload; Upload()</code> in a new cell, and write the path that it shows.",
        "也可以在新的单元格中运行 <code>from toolkit.ui import Upload; Upload()</code>，再填写它显示的路径。",
    ),
    "sample picture.png": ("Cartoon", "卡通"),
    "sample anime.png": ("Anime", "动漫"),
    "sample figure.png": ("Figure", "全身"),
    "sample group.png": ("Group", "合影"),
    "sample nasa-astronaut.png": ("Photograph", "照片"),
    "by nasa": ("NASA, public domain", "NASA，公有领域"),
    "sample driving.mp4": ("Singer", "唱歌"),
    "sample dance.mp4": ("Dancer", "跳舞"),
    "draw": ("Draw a character", "画一个角色"),
    "draw singer": ("Draw a singer", "画一位歌手"),
    "seed": ("number", "编号"),
    "style": ("style", "风格"),
    "cartoon": ("cartoon", "卡通"),
    "anime": ("anime", "动漫"),
    "part said": ("{begin} s to {end} s of {seconds} s", "第 {begin} 秒到第 {end} 秒，全长 {seconds} 秒"),
    "size said": ("{width} x {height} pixels", "{width} x {height} 像素"),
    "sound yes": ("with sound", "有声音"),
    "sound no": ("no sound", "无声音"),
    # crop
    "title crop": ("Crop", "裁剪"),
    "crop picture": ("picture", "图片"),
    "crop clip": ("clip", "视频"),
    "crop auto": ("automatic: the face", "自动：人脸"),
    "crop none": ("none: all of it", "不裁剪：使用整幅"),
    "crop hand": ("by hand", "手动"),
    "crop x": ("left to right, %", "左右位置 %"),
    "crop y": ("top to bottom, %", "上下位置 %"),
    "crop side": ("side, %", "边长 %"),
    "look": ("Show what the model sees", "查看模型看到的画面"),
    "not looked": (
        "Where the face is has not been looked for yet.",
        "还没有寻找人脸。",
    ),
    "seen whole": ("all of it is used", "使用整幅画面"),
    "seen box": ("{width} x {height} pixels from ({x}, {y})", "从 ({x}, {y}) 起 {width} x {height} 像素"),
    "seen moving": ("the box follows the scenes or the face", "裁剪框随场景或人脸变化"),
    # model
    "title model": ("Model", "模型"),
    "own file": ("or a file", "或权重文件"),
    "ships": (
        "Ships with the toolkit (MIT). It only knows drawn heads: for a photograph choose a published model.",
        "随工具包附带（MIT）。它只认识画出来的头像：照片请选择已发布的模型。",
    ),
    "own": ("A file of your own; its licence is its maker's.", "你自己的文件；许可证由其作者决定。"),
    "about model": (
        "For {purpose}. Download: {size}. Licence of the code: {code}; of the weights: {weights}.",
        "用途：{purpose}。下载大小：{size}。代码许可证：{code}；权重许可证：{weights}。",
    ),
    "is here": ("It is here.", "已在本机。"),
    "is not here": ("It is not here yet.", "尚未下载。"),
    "fetch": ("Fetch", "下载"),
    "fetch it": ("Fetch and use {name} ({size})", "下载并使用 {name}（{size}）"),
    "nothing to fetch": ("Nothing to fetch: this model is here.", "无需下载：这个模型已在本机。"),
    "fetched": ("{name} is here now.", "{name} 已下载完成。"),
    "advice": ("Before you animate", "生成之前"),
    "photograph": (
        "The shipped model only knows drawn heads, and this looks like a photograph.",
        "附带的模型只认识画出来的头像，而这看起来是一张照片。",
    ),
    "perhaps a photograph": (
        "The shipped model only knows drawn heads; if this is a photograph, it will not do.",
        "附带的模型只认识画出来的头像；如果这是照片，效果不会好。",
    ),
    # motion and preview
    "title motion": ("Motion", "动作"),
    "mode": ("mode", "模式"),
    "mode auto": ("the model's own", "模型默认"),
    "mode relative": ("relative: as the driver moves", "relative：跟随驱动者的变化"),
    "mode absolute": ("absolute: the driver's own pose", "absolute：驱动者本身的姿势"),
    "mode avd": ("avd: shape and pose apart (MRAA, TPSMM)", "avd：形状与姿势分开（MRAA、TPSMM）"),
    "reference": ("reference frame", "参考帧"),
    "reference best": ("the one nearest to the picture", "与图片最接近的一帧"),
    "reference first": ("the first", "第一帧"),
    "reference time": ("at a time:", "指定时刻："),
    "at second": ("at second", "时刻（秒）"),
    "preview": ("Preview", "预览"),
    "preview at": ("preview at (s)", "预览时刻（秒）"),
    "live": ("follow my changes", "随设置更新"),
    "preview said": ("picture, clip, result at {seconds} s", "图片、视频、结果，第 {seconds} 秒"),
    "preview stale": (
        "The preview was of other settings: press Preview to see these.",
        "预览对应的是之前的设置：请点击“预览”查看现在的效果。",
    ),
    # sound and output
    "title sound": ("Sound", "声音"),
    "sound": ("sound", "声音"),
    "sound driving": ("the clip's", "视频的声音"),
    "sound none": ("none", "无声"),
    "sound file": ("a file:", "声音文件："),
    "title output": ("Output", "输出"),
    "size": ("side in pixels", "边长（像素）"),
    "size own": ("as the model makes it", "与模型一致"),
    "paste": ("put the face back into the whole picture", "把人脸放回整幅图片"),
    "mark": ("visible mark", "可见标识"),
    "mark none": ("none", "无"),
    # the upload of its own
    "upload any": ("Upload a file of any size", "上传文件（大小不限）"),
    "upload waiting": (
        "waiting for the kernel, which may be busy with a cell …",
        "正在等待内核，它可能正忙于运行单元格……",
    ),
    "upload reload": (
        "anywidget was installed just now: reload this page in the browser, then run the cell again.",
        "刚刚安装了 anywidget：请在浏览器中刷新本页面，然后重新运行该单元格。",
    ),
    "upload stopped": ("Stopped. Nothing was kept.", "已停止，没有保留任何内容。"),
    "upload broken": (
        "The file can't be read any more. Nothing was kept; choose it once more.",
        "无法继续读取该文件，没有保留任何内容；请重新选择。",
    ),
    "uploaded": ("{path} is here ({size} MB).", "{path} 已上传（{size} MB）。"),
    "upload empty": ("{name} is empty.", "{name} 是空文件。"),
    "upload empty remedy": ("Its download or recording failed: get it again.", "它的下载或录制失败了：请重新获取。"),
    "upload no room": ("There is no room for {name} on this disk.", "磁盘空间不足，放不下 {name}。"),
    "upload no room remedy": ("Make room, or name another folder.", "请腾出空间，或换一个文件夹。"),
    "upload changed": ("{name} has not the size that was announced.", "{name} 的大小与开始时不一致。"),
    "upload changed remedy": (
        "It changed while it was sent. Nothing was kept; choose it once more.",
        "它在发送过程中发生了变化，没有保留任何内容；请重新选择。",
    ),
    "upload failed": ("{name} can't be kept: {why}.", "无法保存 {name}：{why}。"),
    "upload failed remedy": (
        "Make room in {folder}, or name another folder; nothing of it was kept.",
        "请在 {folder} 中腾出空间，或换一个文件夹；没有保留任何内容。",
    ),
    # a training run
    "step of": ("step {step} of {steps}", "第 {step} 步，共 {steps} 步"),
    "in stage": (", stage {stage}", "，阶段 {stage}"),
    "steps a second": (", {speed} steps a second", "，每秒 {speed} 步"),
    "seconds a step": (", {seconds} s a step", "，每步 {seconds} 秒"),
    "time left": (", {time} left", "，还需 {time}"),
    "losses": ("losses: {losses}", "损失：{losses}"),
    "preview of": (
        "Preview at step {step}, on data that training never sees",
        "第 {step} 步的预览，使用训练中从未见过的数据",
    ),
    "interrupt": (
        "To stop, interrupt the kernel (■): the run is saved first.",
        "要停止，请中断内核（■）：会先保存再结束。",
    ),
    "interrupt following": (
        "Interrupting the kernel (■) ends the waiting; the run goes on.",
        "中断内核（■）只会结束等待，训练会继续。",
    ),
    "stopping": ("Stopping after this step; the run is being saved …", "本步结束后停止，正在保存……"),
    "stopped at": (
        "Stopped at step {step} of {steps}, and saved: resume=True goes on from there.",
        "已在第 {step} 步（共 {steps} 步）停止并保存：用 resume=True 可继续。",
    ),
    "trained": ("Trained: {path}", "训练完成：{path}"),
    "under way": ("A run is under way in this view.", "此视图中已有训练在进行。"),
    "under way remedy": ("Stop it first, or make another view.", "请先停止它，或新建一个视图。"),
    "no run": ("There is no run in {folder} yet.", "{folder} 中还没有训练。"),
    "no news": (
        "No news for {time}: the run may have ended.",
        "已有 {time} 没有消息：训练可能已结束。",
    ),
    # the run and its result
    "title studio": ("Living Pictures", "会动的图片"),
    "language": ("language", "语言"),
    "download": ("Download", "下载"),
    "taking it": ("The result is {path} ({size} MB). {how}", "结果在 {path}（{size} MB）。{how}"),
    "taking jupyter": (
        "To take it home: right-click it in the file list on the left, then Download.",
        "下载方法：在左侧的文件列表中右键点击该文件，选择 Download（下载）。",
    ),
    "taking colab": (
        "To take it home, run: from google.colab import files; files.download({path})",
        "下载方法：运行 from google.colab import files; files.download({path})",
    ),
    "taking kaggle": (
        "To take it home: find it under Output in the panel on the right, then ⋮ and Download.",
        "下载方法：在右侧面板的 Output 中找到该文件，点击 ⋮，再选择 Download。",
    ),
    "settings at": ("Its settings: {path}", "本次设置：{path}"),
    "settings file": ("settings", "设置文件"),
    "again": ("Take these settings", "使用这些设置"),
    "taken": ("The settings of {name} are taken. Press Animate.", "已载入 {name} 的设置，请点击“生成动画”。"),
    "not kept": ("The settings could not be kept beside it: {why}", "无法在结果旁保存设置：{why}"),
}


class Words:
    """The words in one language; setting `language` changes every label that was made with it.

    language: "en" or "zh"; None for TOOLKIT_LANG or the platform's.
    """

    def __init__(self, chosen: str | None = None) -> None:
        self._language = chosen or language()
        self._calls: list[Callable[[], Any]] = []

    @property
    def language(self) -> str:
        return self._language

    @language.setter
    def language(self, chosen: str) -> None:
        if chosen not in LANGUAGES:
            raise ValueError(f"language is {chosen!r}, not one of {', '.join(LANGUAGES)}")
        self._language = chosen
        for call in self._calls:
            call()

    def __call__(self, key: str, **values: Any) -> str:
        return TEXTS[key][LANGUAGES.index(self._language)].format(**values)

    def told(self, message: str) -> str:
        """What the toolkit says elsewhere, which is written in English: an error, a note, a stage of a run."""
        return translate(message, self._language)

    def each(self, call: Callable[[], Any]) -> None:
        """Call it now, and after each change of the language."""
        self._calls.append(call)
        call()

    def label(self, widget: WidgetT, trait: str, key: str, **values: Any) -> WidgetT:
        """Keep a text of a widget in the chosen language, and return the widget."""
        self.each(lambda: setattr(widget, trait, self(key, **values)))
        return widget
