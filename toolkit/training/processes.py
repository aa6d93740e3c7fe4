"""Several processes that train one model together: a GPU each on one machine or several, or CPUs.

    torchrun --nproc_per_node 4 -m toolkit train fomm-vox-256 --data data/vox       (or accelerate launch -m toolkit …)
    accelerate.notebook_launcher(lambda: toolkit.train("fomm-vox-256", data="data/vox"), num_processes=4)

Each computes its part of every batch (see `parts`); gradients and losses are added up, so that all take the same step.
Batch norms that learn see the whole batch: torch's SyncBatchNorm on CUDA, `SharedNorm` on CPUs. The main process alone
writes files, speaks and measures; all must see the folder of the run.

Ctrl-C comes to the launcher, which hands it on: all end after their step, with a checkpoint. torchrun gives them half a
minute for that, then kills them (longer steps: --shutdown-timeout SECONDS); a second Ctrl-C kills them at once.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import ConfigError
from .parts import Part


class Processes:
    """Those that a launcher (torchrun, accelerate, mpirun through it) began together, or this one alone.

    device: where this process computes, the one asked for or, of several GPUs, its own.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.number, self.count = device, 0, 1
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # every launcher sets it
            from accelerate import PartialState  # only now: once made it stays, also in a process forked to train

            state = PartialState(cpu=device.type == "cpu")
            self.number, self.count = state.process_index, state.num_processes
            if device.type != "cpu":  # which it calls "cpu:0", and nothing is loaded to that
                self.device = state.device
            atexit.register(state.destroy_process_group)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.number == 0

    def part(self, number: int, passes: int) -> Part:
        """What this process sees of a batch in one of its passes."""
        return Part(number * self.count + self.number, passes * self.count)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, which are in this order everywhere, by their sums over the processes."""
        if self.count > 1 and tensors:
            flat = torch.cat([tensor.flatten() for tensor in tensors])  # one message
            dist.all_reduce(flat)
            for tensor, piece in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
                tensor.copy_(piece.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of the processes."""
        return self._largest(int(flag)) > 0

    def agree(self, step: int) -> None:
        """Raises ConfigError unless all processes are at this step."""
        if (high := self._largest(step)) != (low := -self._largest(-step)):
            raise ConfigError(
                f"One process goes on from step {high}, another one from step {low}.",
                "All must see the same folder of the run: put it on a disk that the machines share.",
            )

    def _largest(self, number: int) -> int:
        if self.count == 1:
            return number
        held = torch.tensor(number, device=self.device)
        dist.all_reduce(held, dist.ReduceOp.MAX)
        return int(held)

    def wait(self) -> None:
        """Until all processes have come here."""
        self._largest(0)

    def share_norms(self, module: nn.Module) -> None:
        """Batch norms that learn shall see the rows of all processes."""
        if self.count == 1:
            return
        if self.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(module)
            return
        for part in module.modules():
            if type(part) in (nn.BatchNorm1d, nn.BatchNorm2d):
                part.__class__ = SharedNorm


class SharedNorm(nn.modules.batchnorm._BatchNorm):
    """A batch norm over the rows of all processes, as SyncBatchNorm is, which is for CUDA only."""

    def _check_input_dim(self, input: Tensor) -> None:  # the name is torch's
        """Any B x C x … will do."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        over, shape = [0, *range(2, x.dim())], [1, -1] + [1] * (x.dim() - 2)
        count = _Sum.apply(torch.tensor(float(x.numel() // x.shape[1])))
        mean = _Sum.apply(x.float().sum(over)) / count
        centred = x.float() - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(over)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scaled = centred * ((variance + self.eps).rsqrt() * self.weight).view(shape) + self.bias.view(shape)
        return scaled.to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over the processes; the gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return _Sum.forward(ctx, slope)


def leave() -> None:
    """End this process where it is one of several, once all have come here; alone, nothing happens.

    Without Python's own end, in which a thread of torch's has aborted a process that had done its work (rare: once in
    CI, never in 36 tries; the launcher then stops the other one, which may still be writing).
    """
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.barrier()
        dist.destroy_process_group()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def is_main() -> bool:
    """Whether this process is alone, or the one of several that speaks."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0
