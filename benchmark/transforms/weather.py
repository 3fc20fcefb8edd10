"""Weather of ImageNet-C: snow, frost, fog, spatter."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.failures import StimuliError
from benchmark.transforms.basics import Streams, blur, widest
from benchmark.transforms.blur import angles, enlarged, opencv_module, smeared
from benchmark.transforms.listing import FROST_USED

Texture = NDArray[np.uint8]


def snow(
    images: torch.Tensor,
    flakes: tuple[float, float],
    zoom: float,
    threshold: float,
    motion: tuple[int, float],
    kept: float,
    draws: Streams,
) -> torch.Tensor:
    """Whiten all but a share `kept`, then add blown flakes and the same flakes turned by 180 degrees. `flakes` are mean
    and sd of their normal field, `zoom` their size; values below `threshold` become 0. motion: radius, sigma in px."""
    height, width = images.shape[-2:]
    field = draws.normal(1, height, width).to(images) * flakes[1] + flakes[0]
    layer = enlarged(field, zoom)
    layer = torch.where(layer < threshold, torch.zeros_like(layer), layer).clamp_(0, 1)
    blown = smeared(layer.mul_(255).floor_(), *motion, angles(draws, -135, -45))
    red, green, blue = images.unbind(1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)
    white = torch.maximum(images, grey * 1.5 + 127.5)
    return torch.lerp(white, images, kept).add_(blown + torch.rot90(blown, 2, dims=(-2, -1)))


def frost(
    images: torch.Tensor, share: float, ice: float, textures: Sequence[Texture], draws: Streams
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix `share` of the image with `ice` of a random crop of a texture (HWC uint8, larger than the images): a table of
    levels, and each pixel's place in it."""
    height, width = images.shape[-2:]
    for number, texture in enumerate(textures[:FROST_USED], start=1):
        if texture.shape[0] <= height or texture.shape[1] <= width:
            raise StimuliError(f"frost texture {number} must be larger than the images ({width} x {height} px)")
    crops = []
    for pick, down, across in draws.uniform_here(3).tolist():
        texture = textures[int(pick * FROST_USED)]
        top = int(down * (texture.shape[0] - height))
        left = int(across * (texture.shape[1] - width))
        crops.append(texture[top : top + height, left : left + width].transpose(2, 0, 1))
    cover = torch.from_numpy(np.stack(crops)).to(images.device, non_blocking=True)
    level = torch.arange(256, dtype=widest(images.device), device=images.device)
    return (level[:, None] * share + level * ice).reshape(-1), images * 256 + cover


def fog(images: torch.Tensor, strength: float, decay: float, draws: Streams) -> torch.Tensor:
    """Add `strength` times a cloud and scale back to the image's own maximum."""
    height, width = images.shape[-2:]
    side = 1 << (max(height, width) - 1).bit_length()
    cloud = plasma(draws.uniform(side * side - 1).to(images), side, decay)
    most = images.amax(dim=(1, 2, 3), keepdim=True)
    lifted = images + (255 * strength) * cloud[:, None, :height, :width]
    return lifted.mul_(most / (most + 255 * strength))


def plasma(uniforms: torch.Tensor, side: int, decay: float) -> torch.Tensor:
    """Generate clouds [n, side, side] in [0, 1] by the diamond-square rule on a periodic grid. The `uniforms` [n,
    side**2 - 1] are in the order of the published loop: per level squares, then the two sets of diamonds. As published,
    noise has the amplitude w**2, not w, so each level decays by decay**2."""
    grid = uniforms.new_zeros((len(uniforms), side, side))
    step, wobble, used = side, 100.0, 0
    while step >= 2:
        cells = side // step
        noise = uniforms[:, used : used + 3 * cells**2].reshape(-1, 3, cells, cells)
        noise = wobble * ((2 * noise - 1) * wobble)
        # The squares' centres, then the diamonds' in rows, then in columns.
        half, corner = step // 2, grid[:, ::step, ::step]
        pairs = corner + corner.roll(-1, 1)
        grid[:, half::step, half::step] = (pairs + pairs.roll(-1, 2)) / 4 + noise[:, 0]
        centre = grid[:, half::step, half::step]
        rows = (centre + centre.roll(1, 1)) + (corner + corner.roll(-1, 2))
        grid[:, ::step, half::step] = rows / 4 + noise[:, 1]
        columns = (centre + centre.roll(1, 2)) + (corner + corner.roll(-1, 1))
        grid[:, half::step, ::step] = columns / 4 + noise[:, 2]
        used += 3 * cells**2
        step, wobble = step // 2, wobble / decay
    grid -= grid.amin(dim=(1, 2), keepdim=True)
    return grid.div_(grid.amax(dim=(1, 2), keepdim=True))


# Spatter of ImageNet-C (an extra corruption): drops of water or mud on the lens.
# Water needs OpenCV, on the CPU, for its exact rules of edges, distances and equalisation. Mud needs no library.
WATER, MUD = (175.0, 238.0, 238.0), (63.0, 42.0, 20.0)


def spatter(
    images: torch.Tensor,
    field: tuple[float, float],
    smooth: float,
    threshold: float,
    strength: float,
    mud: bool,
    draws: Streams,
) -> torch.Tensor:
    """Cover parts of the image. `field` is mean and sd of a normal field, blurred by `smooth` px, which is liquid above
    `threshold`. `strength` is the opacity of water, or the softness of mud's edge in px."""
    height, width = images.shape[-2:]
    normals = draws.normal(1, height, width).to(images)
    liquid = blur(normals * field[1] + field[0], smooth, "nearest")
    if mud:
        cover = blur((liquid > threshold).to(images), strength, "nearest")
        cover = torch.where(cover < 0.8, torch.zeros_like(cover), cover)
        return images * (1 - cover) + cover * torch.tensor(MUD).to(images, non_blocking=True)[:, None, None]
    if (cv2 := opencv_module()) is None:
        raise StimuliError("spatter at severities 1 to 3 needs OpenCV: pip install opencv-python-headless")
    liquid = torch.where(liquid < threshold, torch.zeros_like(liquid), liquid)
    opacity = np.empty(liquid.shape, np.float32)
    for i, (layer,) in enumerate((liquid * 255).byte().cpu().numpy()):
        # Thick near the drops' edges, lit from one side.
        distance = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
        near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
        lit = cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
        thick = layer * cv2.blur(lit, (3, 3)).astype(np.float32)
        opacity[i] = thick / max(float(thick.max()), 1.0)
    return images + torch.from_numpy(opacity).to(images) * strength * torch.tensor(WATER).to(images)[:, None, None]
