"""Stacks on disk and in memory: file → Clip, Clip → mp4.

Names load on first use, so that importing this room loads no decoder.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "clip": ["Clip", "Stack"],
        "planar": ["PlanarClip"],
        "read": ["VIDEO_SUFFIXES", "is_frame_folder", "iter_frames", "read_clip", "read_stack"],
        "write": ["write_clip", "write_frames"],
    },
)
