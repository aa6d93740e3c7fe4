"""Where the syntax of the code does not tell: strings that look like messages and are none, and the other way round."""

FIGURES = ("ui/loss_figures.py", "ui/perception_figures.py")  # whose fonts may know no Chinese
UNREAD = ("translations/", "puppets/", "ui/words.py", *FIGURES)  # nothing is read there, or it is translated there

SILENT = {
    # names, which are the same in every language
    *("Living Pictures", "living pictures", "Hugging Face", "Google Drive", "Yandex Disk", "Git LFS", "Apple GPU"),
    *("Hiragino Sans GB.ttc", "content/drive/My Drive", "content/gdrive/My Drive"),
    # marks in files, and keys
    *("Made by a machine: Living Pictures toolkit", "Saved by the Living Pictures toolkit", "AI 生成"),
    *("rendering frames a second", "picture landmarks", "value = {value}", "and no"),
    *("web page", "quota notice", "lfs pointer", "cut off", "zip archive"),
    # what other programs say, by which it is known what went wrong
    *("out of memory", "can't allocate memory", "not enough memory", "failed to allocate"),
    *("Cannot retrieve the file", "{member} not found in the folder"),
    # code to copy
    *("pip install face-alignment", "pip install scikit-image", "pip install torchmetrics", 'sound="song.mp3"'),
    *("python -m toolkit fetch {name}", "python -m toolkit fetch {LANDMARKS}", "trim=(0, 30)", "(x, y, width, height)"),
    "crop={width}:{height}:{left}:{top}, scale={size}:{size2}",
    'ffmpeg -i {clip} -ss {start} -t {length} -filter:v "{crop}" crop.mp4',
    # quantities
    *("{size} MB  {name}", "{size} MB", "{size} kB", "{entry} ms", "{entry} px", "{memory} GiB", "sha256 {sha256}"),
    # in figures, whose fonts may know no Chinese
    *("losses, weighted", "held out", "held out, in pixels", "upper left", "axes fraction", "offset points"),
    # styles, and the names of words in the panels
    *("row wrap", "0 16px 0 0", "0 12px", "1 1 320px", "calc(100% - 4px)", "calc(100% - 24px)"),
    *("crop {what}", "crop {name}", "mode {mode}"),
}

SPOKEN = {  # single words in the heads and rows of tables, and what fills gaps in messages
    *("name", "model", "for", "picture", "clip", "download", "here", "any", "yes", "helper", "Licences"),  # the zoo
    *("file", "size", "licence", "loads", "missing", "unexpected", "unknown"),  # a file of weights
    *("system", "platform", "device", "memory", "precision", "weights", "cache"),  # this machine
    *("parameters", "motion", "rendering", "mode", "chunks", "frames"),  # comparisons, prepared clips
    *("face", "head", "sound", "source", "lacks", "text", "whole", "background", "mouth", "eyes"),
}
