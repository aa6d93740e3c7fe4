"""Who a puppet is: everything about its looks that a pose does not change."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .batch import Batch, uniforms

STYLES = ("cartoon", "anime")
HAIR = (
    "bald", "buzz", "side parting", "quiff", "spiky", "curly", "afro", "bowl", "bob", "long", "wavy", "ponytail",
    "twin tails", "top bun", "two buns", "curtains", "pixie", "receding",
)  # fmt: skip
GLASSES = ("none", "round", "square", "thin")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
CLOTHES = ("t-shirt", "v-neck", "shirt", "suit", "hoodie", "turtleneck", "dress", "sailor")
PATTERNS = ("plain", "stripes", "pinstripes", "dots", "checks")
BACKDROPS = ("bokeh", "wallpaper", "shelves", "hills", "city", "stripes", "shapes", "window")

_LEVELS = 150  # random numbers a puppet is made of


@dataclasses.dataclass(frozen=True)
class Identity(Batch):
    """B puppets. Fields are (B,) floats unless said; lengths in head units (half the height of the head is about 1)."""

    style: Tensor  # (B,) int: index into STYLES
    feminine: Tensor  # 0 … 1, how lashes, lips, brows and jaw lean
    age: Tensor  # 0 child … 1 old
    size: Tensor  # of one head unit, in half-widths of the picture
    light: Tensor  # -1 … 1: from which side it falls
    # head
    head_width: Tensor  # half-width at the temples
    head_top: Tensor  # height of the skull over the eyes
    chin_y: Tensor
    jaw: Tensor  # 1.8 narrow cheeks … 3.2 full cheeks
    chin: Tensor  # 0.5 square chin … 1 pointed
    ear_size: Tensor
    skin: Tensor  # B x 3
    blush: Tensor  # 0 … 1
    freckles: Tensor  # 0 … 1
    wrinkles: Tensor  # 0 … 1
    # eyes and brows
    eye_x: Tensor  # of the middle of the eye from the middle of the face
    eye_y: Tensor
    eye_width: Tensor  # half-width
    eye_height: Tensor  # whole height when open
    eye_tilt: Tensor  # > 0: outer corners up
    iris: Tensor  # radius
    eye_colour: Tensor  # B x 3
    lashes: Tensor  # 0 … 1
    brow_y: Tensor  # height over the middle of the eye
    brow_length: Tensor  # half-length
    brow_thick: Tensor
    brow_arch: Tensor
    brow_tilt: Tensor
    brow_colour: Tensor  # B x 3
    # nose and mouth
    nose_y: Tensor
    nose_width: Tensor
    nose_lift: Tensor  # how far it stands out
    mouth_y: Tensor
    mouth_width: Tensor  # half-width at rest
    smile: Tensor  # how far the corners stand up at rest
    lip_upper: Tensor
    lip_lower: Tensor
    lip_colour: Tensor  # B x 3
    # hair, see hair.py
    hair: Tensor  # (B,) int: index into HAIR
    hair_colour: Tensor  # B x 3
    hair_shape: Tensor  # B x 8 numbers in 0…1 that vary the style
    # things
    glasses: Tensor  # (B,) int: index into GLASSES
    glasses_colour: Tensor  # B x 3
    beard: Tensor  # (B,) int: index into BEARDS
    accessory: Tensor  # (B,) int: 0 none, 1 earrings, 2 hair band, 3 bow
    accessory_colour: Tensor  # B x 3
    clothes: Tensor  # (B,) int: index into CLOTHES
    clothes_colours: Tensor  # B x 3 x 3: cloth, trim, underneath
    pattern: Tensor  # (B,) int: index into PATTERNS
    shoulders: Tensor  # half-width
    neck: Tensor  # half-width
    backdrop: Tensor  # (B,) int: index into BACKDROPS
    backdrop_colours: Tensor  # B x 4 x 3
    backdrop_shape: Tensor  # B x 16 numbers in 0…1

    def skin_tones(self) -> tuple[Tensor, Tensor, Tensor]:
        """Skin in shadow, plain and in light: B x 3 each."""
        return self.skin * self.skin.new_tensor([0.78, 0.60, 0.57]), self.skin, self.skin + (1 - self.skin) * 0.35


def _palette(text: str) -> Tensor:
    """Hex colours -> K x 3."""
    return torch.tensor([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in text.split()])


SKINS = _palette("ffe3d0 fbd5bd f6c9a8 eeb990 e0a478 cf8e62 b5764c 96603d 7a4a2e 5d3825")
ANIME_SKINS = _palette("fff0e6 ffe8da fde0cf f9d3ba e9b896 c98f68 9a6645")
HAIRS = _palette("17130f 2a1c14 402a1b 5a3a22 7a4d2a 96643a b98a4e d9b36a efd590 a3452a c2602f 8a2f24 6b4a3a")
GREYS = _palette("8f8f92 b4b4b6 d8d8d6 f1efe9")
ANIME_HAIRS = _palette(
    "20242e 3a2a2a 6b4030 a86a3c e8c15c f4dd9b f7a8bd e2678a b14a55 7c5bb0 5566b8 57a3d6 6cc2b4 8bbf74 c9cfdc f2efe9"
)
IRISES = _palette("3b2415 5a3a1e 7a5428 8f7436 5c7a44 3f7a62 3c7ea6 5a93c4 7d8c99 4a5a9a")
ANIME_IRISES = _palette("7a4424 b0622a c79a2e 4c9a52 2f9a8f 2f83cc 4b5bd0 7d4cc0 c2468e c93a44")
LIPS = _palette("c9625e b8484f d9777a a8443f c44f6a 9a3d44")
FABRICS = _palette(
    "f4f1ea e8dcc4 2b3a55 1f2430 37507f 4f86b8 7fb6d1 2f6b5a 5c9a6b a9c27a e3b23c e07a3f c8503c a32f3f 7a2f4f 8a5aa0 "
    "c48ac0 f0a6b4 6b4a38 9a7454 5a6068 a9b0b8"
)
FRAMES = _palette("1c1c1e 3a2a20 6b3a24 8c1f2c 23406b c9a24a b8bcc4 2f5a4a")
GEMS = _palette("e3b23c f2f0ea d94f5c 4f86b8 5c9a6b e98fb0 8a5aa0 e07a3f")
ROOMS = _palette(
    "cfe3ee b6d0c6 f0dcc0 e9c6b0 d8c8e0 f3e3a8 a9bfd6 93b49a 7f93b2 c99a86 5f7a8c 6d5f7a 4a5d57 8a6f5a 2f3d52 3f3a4a "
    "f5f0e6 e2857a 64a8a0 e0b050"
)


def _colour(palette: Tensor, where: Tensor, jitter: Tensor, amount: float = 0.03) -> Tensor:
    """A colour between neighbours of the palette at where (0…1), jittered: B x 3."""
    f = where * (len(palette) - 1)
    i = f.long().clamp(max=len(palette) - 2)
    share = (f - i)[:, None]
    return (palette[i] * (1 - share) + palette[i + 1] * share + amount * (2 * jitter - 1)).clamp(0.02, 1)


def _pick(palette: Tensor, where: Tensor, jitter: Tensor, amount: float = 0.03) -> Tensor:
    """A colour of the palette, jittered: B x 3."""
    i = (where * len(palette)).long().clamp(max=len(palette) - 1)
    return (palette[i] + amount * (2 * jitter - 1)).clamp(0.02, 1)


def choose(u: Tensor, weights: Tensor) -> Tensor:
    """An index by weights (K or B x K), from uniform numbers."""
    total = weights.cumsum(-1) / weights.sum(-1, keepdim=True)
    return (u[:, None] > total).sum(1).clamp(max=weights.shape[-1] - 1)


def identities(n: int, seed: int, style: int | str | None = None, device: torch.device | str = "cpu") -> Identity:
    """n puppets of a seed; number i depends on (seed, i, style) alone. style: "cartoon", "anime" or None for both."""
    u = uniforms(n, seed, _LEVELS)
    at = iter(range(_LEVELS))

    def span(low: float, high: float) -> Tensor:
        return low + (high - low) * u[:, next(at)]

    def rgb() -> Tensor:
        return u[:, [next(at), next(at), next(at)]]

    def mix(a: Tensor | float, b: Tensor | float, share: Tensor) -> Tensor:
        return a + (b - a) * share

    coin = span(0, 1)
    if style is None:
        anime = coin < 0.4
    else:
        anime = torch.full((n,), style in (1, "anime"))
    an = anime.float()

    feminine = (1.3 * (span(0, 1) - 0.5) + 0.5 + 0.15 * an).clamp(0, 1)
    lady = feminine > 0.5
    age = span(0, 1)
    age = torch.where(anime, 0.1 + 0.35 * age, age)
    child = (1 - age / 0.25).clamp(0, 1)
    old = ((age - 0.6) / 0.4).clamp(0, 1)

    # head
    head = {
        "head_width": mix(span(0.74, 0.83), span(0.76, 0.82), an),
        "head_top": span(0.94, 1.0) + 0.03 * an,
        "chin_y": mix(span(0.94, 1.06) - 0.06 * feminine, span(0.9, 0.98), an) - 0.08 * child,
        "jaw": mix(span(2.2, 3.0) - 0.25 * feminine, span(2.1, 2.5), an) + 0.3 * child,
        "chin": mix(span(0.46, 0.62) + 0.1 * feminine, span(0.78, 0.92), an) - 0.04 * child,
        "ear_size": mix(span(0.17, 0.23), span(0.14, 0.17), an) + 0.02 * old,
    }
    tone = span(0, 1) ** 1.2
    skin = torch.where(anime[:, None], _colour(ANIME_SKINS, tone**1.6, rgb(), 0.015), _colour(SKINS, tone, rgb(), 0.02))
    dark = 1 - skin.mean(1)

    # eyes
    eye_width = mix(span(0.18, 0.215), span(0.2, 0.24), an) + 0.02 * child
    eye_height = mix(span(0.24, 0.32), span(0.36, 0.46), an) * (1 - 0.15 * old) + 0.03 * child + 0.02 * feminine
    eyes = {
        "eye_x": mix(span(0.33, 0.37), span(0.37, 0.41), an),
        "eye_y": mix(span(-0.02, 0.05), span(0.1, 0.16), an) + 0.05 * child,
        "eye_width": eye_width,
        "eye_height": eye_height,
        "eye_tilt": mix(span(-0.08, 0.1), span(-0.05, 0.16), an) + 0.05 * feminine,
        "iris": mix(0.5 * eye_height * span(0.84, 0.96), 0.5 * eye_height * span(0.86, 0.96), an) + 0.012 * child,
        "lashes": (span(-0.2, 0.4) + 0.8 * (feminine - 0.35)).clamp(0, 1),
    }
    eye_where, eye_jitter = span(0, 1), rgb()
    eye_colour = torch.where(
        anime[:, None],
        _pick(ANIME_IRISES, eye_where, eye_jitter, 0.05),
        _colour(IRISES, eye_where ** (1 + 2.5 * dark), eye_jitter),
    )

    # hair
    hair_where, hair_jitter, grey = span(0, 1), rgb(), span(0, 1)
    hair_colour = torch.where(
        anime[:, None],
        _pick(ANIME_HAIRS, hair_where, hair_jitter, 0.035),
        _colour(HAIRS, hair_where ** (1 + 3 * dark), hair_jitter),
    )
    hair_colour = torch.where((grey < 1.4 * old)[:, None], _colour(GREYS, span(0, 1), hair_jitter, 0.02), hair_colour)
    #                 bald buzz part quiff spiky curly afro bowl bob long wavy pony twin top  two  curt pixie reced
    him = torch.tensor([0.5, 0.8, 1.4, 1.2, 1.2, 1.1, 0.7, 0.6, 0.0, 0.2, 0.15, 0.1, 0.0, 0.15, 0.0, 1.0, 0.3, 0.0])
    her = torch.tensor([0.0, 0.1, 0.1, 0.1, 0.2, 0.5, 0.7, 0.2, 1.3, 1.4, 1.4, 1.2, 0.5, 0.9, 0.5, 0.4, 1.0, 0.0])
    drawn = torch.tensor([0.0, 0.0, 0.8, 0.0, 2.2, 0.2, 0.0, 1.2, 1.5, 1.6, 1.0, 1.0, 2.2, 0.3, 1.0, 1.6, 1.2, 0.0])
    weights = torch.where(lady[:, None], her, him).clone()
    weights[:, 17] = 3.5 * (old * (~lady)).float()
    weights[:, 0] = weights[:, 0] * (0.4 + 2.5 * old) * (age > 0.3)
    gents = torch.tensor([0.0, 0, 1, 0.3, 1, 1, 0, 1, 0.1, 0.35, 0.2, 0.2, 0, 0, 0, 1, 0.6, 0])
    weights = torch.where(anime[:, None], drawn * torch.where(lady[:, None], torch.ones(18), gents), weights)
    hair = choose(span(0, 1), weights)

    brow_colour = torch.where(anime[:, None], hair_colour * 0.62, hair_colour * 0.72)
    brows = {
        "brow_y": mix(span(0.27, 0.33), span(0.34, 0.4), an),
        "brow_length": mix(span(0.19, 0.25), span(0.18, 0.23), an),
        "brow_thick": mix(mix(span(0.036, 0.06), span(0.022, 0.034), feminine), span(0.014, 0.024), an)
        * (1 - 0.25 * child),
        "brow_arch": span(0.02, 0.08),
        "brow_tilt": span(-0.12, 0.16),
    }
    face = {
        "nose_y": mix(span(0.3, 0.4), span(0.4, 0.45), an) - 0.03 * child,
        "nose_width": mix(span(0.13, 0.2) - 0.03 * feminine, span(0.05, 0.07), an) - 0.02 * child,
        "nose_lift": mix(span(0.2, 0.3), span(0.12, 0.16), an) - 0.05 * child,
        "mouth_y": mix(span(0.58, 0.64), span(0.62, 0.66), an) - 0.03 * child,
        "mouth_width": mix(span(0.24, 0.31), span(0.15, 0.21), an) - 0.03 * child,
        "smile": span(0.0, 0.05),
        "lip_upper": mix(span(0.02, 0.035) + 0.018 * feminine, span(0.008, 0.012), an) - 0.008 * child,
        "lip_lower": mix(span(0.035, 0.05) + 0.02 * feminine, span(0.008, 0.012), an) - 0.008 * child,
    }
    rouge = _pick(LIPS, span(0, 1), rgb(), 0.03)
    natural = skin * torch.tensor([0.86, 0.62, 0.6])
    made_up = (feminine - 0.45).clamp(0, 1)[:, None] * (1 - child)[:, None] * 1.1
    lip_colour = natural + (rouge - natural) * (0.15 + made_up).clamp(0, 0.9)

    beard_weights = torch.tensor([2.2, 1.0, 0.6, 0.6, 1.0]).repeat(n, 1)
    beard_weights[(feminine > 0.4) | (age < 0.3)] = torch.tensor([1.0, 0, 0, 0, 0])
    beard_weights[anime] = torch.tensor([1.0, 0, 0, 0, 0])
    cloth = FABRICS[torch.stack([span(0, 0.9999) for _ in range(3)], 1).mul(len(FABRICS)).long()]
    dress_code = torch.tensor([1.5, 1.0, 1.2, 1.0, 1.2, 0.9, 0.0, 0.0])
    frock = torch.tensor([1.2, 1.2, 0.7, 0.4, 0.8, 0.9, 1.5, 0.0])
    school = torch.tensor([0.6, 0.4, 0.8, 1.0, 1.0, 0.5, 0.0, 0.6])
    uniform_ = torch.tensor([0.6, 0.4, 0.5, 0.5, 0.8, 0.5, 0.8, 1.6])
    garb = torch.where(lady[:, None], frock, dress_code)
    garb = torch.where(anime[:, None], torch.where(lady[:, None], uniform_, school), garb)
    trinket = torch.tensor([2.5, 1.0, 0.6, 0.5])
    trinkets = torch.where(lady[:, None], trinket, torch.tensor([1.0, 0, 0, 0]))
    room = ROOMS[torch.stack([span(0, 0.9999) for _ in range(4)], 1).mul(len(ROOMS)).long()]

    return Identity(
        style=anime.long(), feminine=feminine, age=age, size=span(0.485, 0.535),
        light=torch.sign(span(-1, 1)) * span(0.5, 1), **head, skin=skin, blush=mix(span(0.1, 0.7), span(0.3, 0.9), an),
        freckles=(span(-2.2, 1) * (1 - dark)).clamp(0, 1) * (1 - an),
        wrinkles=(old * 1.2).clamp(0, 1) * (1 - an),
        **eyes, eye_colour=eye_colour, **brows, brow_colour=brow_colour, **face, lip_colour=lip_colour,
        hair=hair, hair_colour=hair_colour, hair_shape=torch.stack([span(0, 1) for _ in range(8)], 1),
        glasses=choose(span(0, 1), torch.tensor([3.2, 0.5, 0.5, 0.35])),
        glasses_colour=_pick(FRAMES, span(0, 1), rgb(), 0.02),
        beard=choose(span(0, 1), beard_weights), accessory=choose(span(0, 1), trinkets),
        accessory_colour=_pick(GEMS, span(0, 1), rgb(), 0.03), clothes=choose(span(0, 1), garb), clothes_colours=cloth,
        pattern=choose(span(0, 1), torch.tensor([2.0, 0.6, 0.4, 0.5, 0.5])),
        shoulders=mix(span(1.35, 1.6) - 0.25 * feminine, span(1.1, 1.25), an) - 0.15 * child,
        neck=mix(span(0.4, 0.46) - 0.1 * feminine, span(0.25, 0.29), an) - 0.06 * child,
        backdrop=choose(span(0, 1), torch.ones(len(BACKDROPS))), backdrop_colours=room,
        backdrop_shape=torch.stack([span(0, 1) for _ in range(16)], 1),
    ).to(device)  # fmt: skip
