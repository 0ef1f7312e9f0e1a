"""The nouns of stallgate: immutable values that each step of the flow hands to the next.

They are msgspec structs, so that a noun is also the checked shape of its TOML or JSON file: unknown keys and wrong
types are refused where the file is read (``stallgate/project/decode.py``).
"""

from __future__ import annotations

import re
from datetime import date
from math import isfinite
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct, field

RUN_FORMAT = 3
"""Version of ``run.json``. History: 1, the first; 2, ``strays`` of a case became ``edge_case_fault``; ``options``;
3, a replay may be of several recordings: ``origins`` by problem instead of one ``origin``; a case has the modules that
it loaded, the kernels that it launched and the bytes that it needs."""

BASELINE_FORMAT = 1
"""Version of a baseline's file. History: 1, the first."""

LABEL_PART = r"[a-z0-9_.-]+"

Role = Literal["candidate", "baseline", "roof", "unknown"]
"""candidate: gated. baseline: shown, never gated. roof: the speed of light. unknown: of an imported ncu report."""

CeilingKind = Literal["bytes", "flops", "library"]
"""bytes, flops: a limit of the hardware, which nothing beats. library: the best known code, which may be beaten."""

CallDirection = Literal["forward", "backward"]
"""backward: the gradients of the inputs are computed, from a gradient of the result."""


class FrozenStruct(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The base of all nouns: frozen, and strict about what a file may say.

    None is ever part of a cycle, so the garbage collector passes them over: with ten thousand runs, that took a third
    of the time.
    """


# --- what is computed -------------------------------------------------------------------------------------------------


class Tolerance(FrozenStruct, frozen=True):
    """How far an output may be from what is right: per element, in norm, or not at all."""

    rtol: float | None = None
    """Relative to the right element."""
    atol: float | None = None
    """Absolute; the two are added up."""
    norm: float | None = None
    """Of the Euclidean norm of all errors, relative to that of the right output."""
    exact: bool = False

    def __post_init__(self) -> None:
        given = [self.rtol is not None or self.atol is not None, self.norm is not None, self.exact]
        if sum(given) != 1:
            raise ValueError("a tolerance is `rtol` and `atol`, or `norm`, or `exact = true`")
        for bound in (self.rtol, self.atol, self.norm):
            if bound is not None and not (isfinite(bound) and bound >= 0):
                raise ValueError("a tolerance is a finite number, at least 0")


class Workload(FrozenStruct, frozen=True):
    """What the reference and the variants are called with."""

    name: str
    arguments: dict[str, object] = {}
    """Of the reference's ``get_inputs``, where it has one."""
    inputs: list[object] = []
    """Where it has none: ``dtype[shape]`` for a tensor, with the distribution of its elements; else a value."""
    direction: CallDirection = "forward"
    bytes: int | None = None
    """Bytes that any implementation has to move, at least 1: each input read once, each output written once.

    None: they are derived when it is measured.
    """
    flops: int = 0
    """Arithmetic operations that any implementation has to do."""
    tolerance: list[Tolerance] = []
    """One for each output, or one for all; empty: the problem's."""
    default: bool = False
    """Whether it is measured where no workload is named."""
    judged: bool | list[str] | None = None
    """Whether stages judge it, or the names of those that do; None: if it is measured by default."""

    @property
    def called_with(self) -> str:
        """Its arguments or inputs in words."""
        named = [f"{name} {value}" for name, value in self.arguments.items()]
        backward = ["backward"] if self.direction == "backward" else []
        return ", ".join([*named, *map(str, self.inputs), *backward])

    def __post_init__(self) -> None:
        if self.bytes is not None and self.bytes <= 0:
            raise ValueError("`bytes` has to be above 0: every implementation moves some")
        if self.flops < 0:
            raise ValueError("`flops` cannot be below 0")


class EntryPoint(FrozenStruct, frozen=True):
    """Where a callable is found: in a file of the project, in one of its modules, or in an installed package."""

    path: str
    """Relative to the project's root, with forward slashes; empty for an installed package."""
    digest: str
    """SHA-256 of that file's text; of the entry as it is written for an installed package."""
    module: str = ""
    """The name that the module is imported by; empty where the file is loaded by its path."""
    attribute: str = ""
    """The callable's name in it; empty for a file or package in KernelBench's form."""
    keywords: dict[str, object] = {}
    """Always passed."""
    written: str = ""
    """As the project's file has it; empty where it has none."""


class TunableSpace(FrozenStruct, frozen=True):
    """The configurations of a variant that are worth trying: every combination of values, less the constraints."""

    tunables: dict[str, list[int | float | str | bool]]
    constraints: list[str] = []
    """Comparisons of arithmetic over tunables and the numbers of a GPU's data sheet; all of them have to hold."""
    source: Literal["problem.toml", "stage", "decorator"] = "problem.toml"
    """Where it is declared: in the problem's file, in a stage's ``autotune``, in ``@triton.autotune``."""
    listed: list[dict[str, int | float | str | bool]] = []
    """Where not every combination is meant, as in ``@triton.autotune``: those that are."""


class Variant(FrozenStruct, frozen=True):
    """Code that computes the problem; a roof may only move its bytes or do its flops."""

    name: str
    role: Role
    entry: EntryPoint
    configurations: dict[str, dict[str, object]]
    """Named tunables; ``default`` is the empty one: the code's own keyword defaults."""
    ceiling: CeilingKind | None = None
    """What limits a roof; None for every other role."""
    own_kernels: list[str] = []
    """Kernels that count as its own beside those that files of the project define."""
    sweep: TunableSpace | None = None
    """What `stallgate sweep` tries; None: what the stage or the code lists."""

    @property
    def path(self) -> str:
        """The file of its entry; empty for an installed package."""
        return self.entry.path


class Waiver(FrozenStruct, frozen=True):
    """A missed target that is tolerated: for one variant, with a reason, until a day."""

    variant: str
    stage: str
    """The stage that names the target."""
    metric: str
    """The short name of the target's metric; problem.toml may use any name that the catalogue knows."""
    until: date
    """The last day on which it holds, UTC."""
    reason: str
    workloads: list[str] = []
    """The workloads that it holds on; empty: all that the target is judged on."""


class AllowedKernel(FrozenStruct, frozen=True):
    """Foreign kernels that a candidate of the problem may launch."""

    pattern: str
    """Matches their names as C++ spells them; ``*``, ``?`` and ``[...]`` are wildcards."""
    reason: str


class Problem(FrozenStruct, frozen=True):
    """What is computed: a reference, its workloads, its variants."""

    name: str
    title: str
    file: str
    """The file that it is read from, relative to the project's root."""
    reference: EntryPoint
    stages: list[str]
    """The stages that gate this problem, where the command line names none."""
    workloads: dict[str, Workload]
    variants: dict[str, Variant]
    mutates: list[int] = []
    """Inputs, by their place, that a call changes: they are outputs as well."""
    seed: int | None = None
    """Of torch's random numbers when a module is constructed: the reference's weights are the variant's."""
    specials: Literal["library", "strict"] = "library"
    """Special data: what the reference gets wrong in the inputs' own dtype is not asked of variants, or it is."""
    tolerance: list[Tolerance] = []
    """One for each output, or one for all; empty: by dtype, or the reference's own."""
    draw: EntryPoint | None = None
    """Draws workloads; None: the reference's ``draw``, if it has one."""
    waivers: list[Waiver] = []
    allowed_kernels: list[AllowedKernel] = []
    own_kernels: list[str] = []
    """Kernels that count as every variant's own."""


def display_name(variant: str, configuration: str) -> str:
    """A variant, with its configuration unless it is the default."""
    return variant if configuration == "default" else f"{variant} ({configuration})"


class Case(FrozenStruct, frozen=True):
    """One variant in one configuration on one workload."""

    problem: str
    variant: str
    configuration: str
    workload: str

    @property
    def name(self) -> str:
        return f"{self.problem}/{self.variant}/{self.configuration}/{self.workload}"

    @property
    def display_name(self) -> str:
        """The case among others of its workload: the variant, with the configuration unless it is the default."""
        return display_name(self.variant, self.configuration)

    def label(self, sample: str) -> str:
        """The NVTX range that marks the launches of one sample; a launch has no other identity."""
        return f"stallgate/{self.name}/{sample}"


DETAIL = "detail"
"""The sample of a launch that was profiled with the whole section set; no number is judged by it."""


class Label(FrozenStruct, frozen=True):
    """A case and a sample, as an NVTX range names them."""

    case: Case
    sample: str

    @staticmethod
    def parse(text: str) -> Label | None:
        """``stallgate/<problem>/<variant>/<configuration>/<workload>/<sample>``; None for any other text."""
        parts = text.split("/")
        if len(parts) != 6 or parts[0] != "stallgate":
            return None
        if not all(re.fullmatch(LABEL_PART, part) for part in parts):
            return None
        case = Case(problem=parts[1], variant=parts[2], configuration=parts[3], workload=parts[4])
        return Label(case=case, sample=parts[5])


# --- yardsticks -------------------------------------------------------------------------------------------------------

Direction = Literal["higher", "lower", "neither"]
Family = Literal["memory", "shared", "sync", "issue", "compute", "other"]
Comparison = Literal["at_least", "at_most", "above", "below"]


class Metric(FrozenStruct, frozen=True):
    """A row of the catalogue: the meaning of a short name, and its ncu names."""

    name: str
    title: str
    unit: str
    direction: Direction = "neither"
    """The better direction; ``neither`` where a value alone says nothing."""
    names: list[str] = []
    """ncu metric names, the preferred one first."""
    counters: list[str] = []
    """Arithmetic over ncu names that are asked for where no single name will do, the preferred one first."""
    collect: Literal["always", "wanted"] = "always"
    """``wanted``: asked for only where the command line or a stage names the metric. Its counters may cost passes."""
    formula: str | None = None
    """Arithmetic over ncu names, for reports that carry neither ``names`` nor ``counters``."""
    older: list[str] = []
    """Names, or arithmetic over them, that give the same value in reports of older versions of ncu."""
    combine: Literal["sum", "max", "weighted"] = "sum"
    """How the values of a call's launches are combined."""
    weight: str | None = None
    """The metric to weight by, where ``combine`` is ``weighted``."""
    least: float | None = None
    """Values below are implausible."""
    most: float | None = None
    """Values above are implausible."""
    state: str | None = None
    """The warp state whose share of resident warp time this is."""
    family: Family | None = None
    """The kind of waiting or work that the state is."""
    limiters: dict[str, str] = {}
    """Metric that limits this one -> the limited resource in words. The smallest is the limit."""
    about: str = ""
    """Its meaning, in a sentence or two."""


class Chip(FrozenStruct, frozen=True):
    """A GPU chip as ncu names it."""

    name: str
    compute_capability: str | None = None
    like: str | None = None
    """A chip of the same family, whose counters it has."""
    device_names: list[str] = []
    """GPUs of this chip without a data sheet, as drivers report them: others share the compute capability."""


class Catalogue(FrozenStruct, frozen=True):
    """All metrics, the old names that are understood, and the chips on which an ncu name does not exist."""

    metrics: dict[str, Metric]
    aliases: dict[str, str]
    """Names that resolve to a metric's short name."""
    chips: dict[str, Chip]
    missing: dict[str, list[str]]
    """ncu name -> chips where it does not exist."""


class BoundTerms(FrozenStruct, frozen=True, kw_only=True):
    """A bound on a metric, as one of the four comparisons."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def bound(self) -> tuple[Comparison, float] | None:
        """The comparison and its bound; None where there is none."""
        bounds = [(name, getattr(self, name)) for name in get_args(Comparison)]
        return next(((name, bound) for name, bound in bounds if bound is not None), None)

    def _check_one(self, *others: str) -> tuple[str, float]:
        """Refuses terms that do not name exactly one finite bound, in a comparison or in one of the others."""
        names = (*get_args(Comparison), *others)
        given = [(name, getattr(self, name)) for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a {self._noun} wants exactly one of {', '.join(names)}")
        name, bound = given[0]
        if not isfinite(bound):
            raise ValueError(f"`{name}` has to be a finite number")
        return name, bound

    @property
    def _noun(self) -> str:
        return "bound"


class ExcuseTerms(BoundTerms, frozen=True, kw_only=True):
    """What excuses a target that is not met: a bound on a metric, such as a speed close to the roof."""

    def __post_init__(self) -> None:
        self._check_one()

    @property
    def _noun(self) -> str:
        return "condition of `unless`"


class Exemption(ExcuseTerms, frozen=True, kw_only=True):
    """The same with the metric of the catalogue."""

    metric: Metric


class TargetTerms(BoundTerms, frozen=True, kw_only=True):
    """What a target asks of its metric: exactly one of the four comparisons, or a tolerance around the baseline."""

    tolerance: float | None = None
    """How much worse than the accepted baseline the metric may be, as a fraction of the baseline's value."""
    tolerance_points: float | None = None
    """The same for a share, in percentage points."""
    insist: bool = False
    """Whether a counter that is worse than the baseline fails although the time is not."""
    of: Literal["roof"] | None = None
    """``roof``: the bound is a fraction of the roof's value on the same workload in the same run."""
    variants: list[str] = []
    """The variants that it is for; empty: every candidate."""
    scope: Literal["call", "kernel"] = "call"
    """``kernel``: every kernel of the call is held to the bound on its own."""

    def __post_init__(self) -> None:
        name, bound = self._check_one("tolerance", "tolerance_points")
        if name in ("tolerance", "tolerance_points"):
            self._check_tolerance(name, bound)
        elif self.insist:
            raise ValueError("`insist` goes with a tolerance: other targets always count")

    def _check_tolerance(self, name: str, tolerance: float) -> None:
        if name == "tolerance" and not 0 <= tolerance < 1:
            raise ValueError("`tolerance` is a fraction from 0 to 1: 0.02 allows 2 % worse than the baseline")
        if name == "tolerance_points" and not 0 <= tolerance < 100:
            raise ValueError("`tolerance_points` is from 0 to 100: 2 allows two percentage points worse")
        if self.of is not None or self.scope == "kernel":
            raise ValueError(f"`{name}` is around the baseline of whole calls: it goes with neither `of` nor `scope`")

    @property
    def _noun(self) -> str:
        return "target"


class Target(TargetTerms, frozen=True, kw_only=True):
    """A bound on a metric of the catalogue. It applies to the workloads that a problem marks as judged."""

    metric: Metric
    written_as: str | None = None
    """The metric's name in the stage's file, where it is not the short name."""
    unless: Exemption | None = None
    """Excuses the target where it is not met."""


class HeldRule(FrozenStruct, frozen=True):
    """A rule of a stage that changes of a variant are held to."""

    text: str
    """The rule in words."""
    changes: list[str]
    """The changes that it is about, such as ``num_stages raised``."""
    unless: str = ""
    """The condition on readings under which they are allowed; empty: never."""


class Stage(FrozenStruct, frozen=True):
    """A focus of optimisation with its targets, rules and autotune space."""

    name: str
    title: str
    focus: str
    targets: list[Target]
    includes: list[str] = []
    """Stages whose targets have to be met as well."""
    undecided: Literal["stop", "warn"] = "stop"
    """``warn``: samples on both sides of a bound are shown, but do not shut the gate."""
    shown: list[Metric] = []
    """Metrics that are drawn beside the targets and not judged."""
    rules: list[str] = []
    """Rules in words alone."""
    held: list[HeldRule] = []
    """Rules that ``stallgate compare`` holds changes to."""
    autotune: dict[str, list[object]] = {}


class AdviceRule(FrozenStruct, frozen=True):
    """When to give an advice, and what it says: a file of ``metrics/advice/``."""

    name: str
    title: str
    parent: str
    """The cause above it: another rule, or a level of the tree. It explains no more than that."""
    when: list[str]
    """Comparisons of arithmetic over metrics and facts. All have to hold; a missing reading makes the rule silent."""
    says: str
    """The finding; ``{name}`` stands for a reading."""
    tries: str
    disproved_by: str
    """The measurement that would show the advice to be wrong."""
    never_for: str
    """Its trap: where it must not be used."""
    explains: str
    """Arithmetic for the largest share of the time that the cause can explain, 0 to 1."""
    source: str
    """Where the rule comes from: NVIDIA's documentation, or measured."""
    of: str = "duration"
    """The time that the share is of."""
    states: list[str] = []
    """Warp states that show the cause at a source line."""
    ncu_rules: list[str] = []
    """NVIDIA's rules on the same cause: the rule's identifier, or ``identifier: title``."""
    yields_to: list[str] = []
    """Rules that name the same cause better: it is left out where one of them is given for the same launch."""
    stops: bool = False
    """Whether nothing is left to gain where it holds: other advice is left out."""


class Accepted(FrozenStruct, frozen=True):
    """The accepted value of a case's metric, from repeated runs."""

    low: float
    """The lowest sample of all runs."""
    median: float
    """The median of the runs' medians."""
    high: float
    """The highest sample of all runs."""
    unit: str

    def __post_init__(self) -> None:
        if not self.low <= self.median <= self.high:
            raise ValueError("`low`, `median` and `high` do not ascend")
        if not isfinite(self.high - self.low):
            raise ValueError("the range from `low` to `high` has no end")

    @property
    def spread(self) -> float:
        """The range of all samples, in the metric's unit."""
        return self.high - self.low


class BaselineCase(FrozenStruct, frozen=True):
    """The accepted numbers of one case, and the digests of what was measured."""

    runs: int
    """The number of runs."""
    accepted: date
    commit: str | None
    digests: dict[str, str]
    """Those that have to be the same to compare: of the reference, the workload, the roofs."""
    metrics: dict[str, Accepted]


class Baseline(FrozenStruct, frozen=True):
    """The accepted numbers of a problem on one GPU, measured under one clock and cache control."""

    format: int
    problem: str
    gpu: str
    """By its driver's name."""
    clock_control: str
    cache_control: str
    cases: dict[str, BaselineCase]
    """``<variant>/<configuration>/<workload>`` -> its numbers."""


class GpuSpec(FrozenStruct, frozen=True):
    """A GPU's data sheet: shown for orientation, never judged by."""

    name: str
    title: str
    device_names: list[str]
    """Names under which the driver reports it."""
    chip: str
    compute_capability: str
    multiprocessors: int
    dram_bandwidth_gb_s: float
    registers_per_thread: int
    threads_per_block: int
    threads_per_multiprocessor: int
    warps_per_multiprocessor: int
    shared_memory_per_multiprocessor_kb: float
    shared_memory_per_block_kb: float
    l2_cache_mb: float | None = None
    tf32_tflops: float | None = None
    bf16_tflops: float | None = None
    fp16_tflops: float | None = None
    fp32_tflops: float | None = None
    """Of the FP32 units. ``tf32_tflops``, ``bf16_tflops`` and ``fp16_tflops`` are of the tensor cores, dense."""
    fp64_tflops: float | None = None
    """Of the FP64 units."""
    fp16_vector_tflops: float | None = None
    """Of half-precision arithmetic outside of the tensor cores."""
    fp64_tensor_tflops: float | None = None
    fp8_tflops: float | None = None
    """Of the tensor cores, dense."""
    int8_tops: float | None = None
    """Of the tensor cores, dense."""
    boost_mhz: float | None = None
    """The multiprocessors' clock at which the peaks of the FP32 units are reached."""
    memory_bus_bits: int | None = None
    unseen_names: list[str] = []
    """Those of ``device_names`` that nobody has seen a driver report yet."""
    source: str = ""
    """The documents that the figures are from."""


# --- what happened ----------------------------------------------------------------------------------------------------

Outcome = Literal["planned", "measuring", "profiled", "wrong_result", "crashed", "timed_out", "skipped", "not_profiled"]
"""planned: not reached. measuring: begun, not ended. not_profiled: it ran, but ncu delivered no usable launch."""


class LaunchedKernel(FrozenStruct, frozen=True):
    """A kernel that Triton compiled and launched for a case, as the child saw it."""

    name: str
    """The compiled kernel's, which ncu shows."""
    module: str
    function: str
    file: str
    """Relative to the project's root; empty where it lies elsewhere."""
    configuration: dict[str, object] = {}
    """What an autotuner chose."""


class WorstElement(FrozenStruct, frozen=True):
    """The element of an output that came closest to its tolerance, over all compared calls of a case."""

    output: int
    used: float
    """Its error as a fraction of what is tolerated; at most 1 where the case is right."""
    rule: str
    """The tolerance in words."""


IdentityKind = Literal["launches", "call", "range", "graph", "other"]
"""launches: kernel launches that are alike. call: all launches within an NVTX range, added up. range, graph, other: one
reading that ncu took of several kernels at once: of a replayed range, of a CUDA graph, of anything else."""


class Identity(FrozenStruct, frozen=True, omit_defaults=True):
    """What a case of an imported run is: launches that are alike, or an NVTX range."""

    kernel: str = ""
    """The function's name as the report has it; empty for a range or a graph."""
    signature: str = ""
    """With namespace, template arguments and parameters."""
    grid: tuple[int, int, int] | None = None
    block: tuple[int, int, int] | None = None
    grid_size: int | None = None
    block_size: int | None = None
    """Blocks of the grid and threads of a block, where the report has no x, y and z."""
    registers: int | None = None
    """Of a thread."""
    static_shared_bytes: int | None = None
    dynamic_shared_bytes: int | None = None
    device: str = ""
    """The GPU's name; of a range, every GPU's."""
    device_index: int | None = None
    ranges: list[str] = []
    """The NVTX push/pop ranges around it, outermost first."""
    kernels: list[str] = []
    """Of an NVTX range: its kernels, in the order of their first launch. Of a range or a CUDA graph that ncu replayed
    as a whole: the kernel of every launch, in their order."""
    report: str = ""
    """The file's name as the user gave it."""
    launches: int = 0
    without_counters: int = 0
    """Launches that ncu could not profile."""
    reason: str = ""
    """ncu's own reason for that, where the report has it."""
    kind: IdentityKind = "launches"


class CaseResult(FrozenStruct, frozen=True):
    """What became of one planned case."""

    case: Case
    role: Role
    outcome: Outcome = "planned"
    reason: str = ""
    """Why it was not profiled, in a sentence."""
    attempt: str | None = None
    """The attempt that holds its launches."""
    edge_case_fault: str | None = None
    """Why it failed on small edge-case inputs, or ''; None where it is not known. A baseline is shown all the same."""
    run_ms: float | None = None
    """One unprofiled call after the first, by CUDA events, in milliseconds; for a short one mostly the host's time."""
    modules: dict[str, str] = {}
    """Files below the project's root that it loaded beside its entry -> SHA-256 of their text."""
    packages: dict[str, str] = {}
    """Installed distributions that it loaded -> version."""
    kernels: list[LaunchedKernel] = []
    needed_bytes: int | None = None
    """Bytes of its inputs and outputs, as the referee made them."""
    worst: list[WorstElement] = []
    """One for each output."""
    identity: Identity | None = None
    """Of an imported run: what the case is, by its names in the report."""


class Environment(FrozenStruct, frozen=True):
    """Where an attempt ran."""

    gpu: str
    device: int
    """Index of the GPU on its machine."""
    compute_capability: str
    chip: str | None
    driver: str
    ncu: str
    python: str
    torch: str
    triton: str
    cuda: str
    host: str = ""
    """Of a fleet: the machine's name."""
    uuid: str = ""
    """Of a fleet: the GPU's."""


class RuleResult(FrozenStruct, frozen=True, omit_defaults=True):
    """The result of one of Nsight Compute's own rules for a launch."""

    rule: str
    section: str
    title: str
    message: str
    kind: Literal["note", "optimisation", "warning", "error"]
    speedup: float | None = None
    """ncu's estimate of the possible gain in per cent, of the whole launch or of the part that the rule looks at."""
    scope: Literal["whole", "part"] | None = None


class HotLine(FrozenStruct, frozen=True, omit_defaults=True):
    """A source line and the number of warp samples on it."""

    file: str
    """Without its folders; of a library from the package on, as in ``triton/language/standard.py``."""
    line: int
    text: str
    """Empty where the report has no source, or the line is a library's."""
    samples: int
    reason: str
    """The most frequent warp state."""
    reason_samples: int
    library: bool = False
    """Whether the file is an installed package's, whose code the compiler put into the kernel."""
    function: str = ""
    """Of a library: the function that the line is in."""


class HotInstruction(FrozenStruct, frozen=True, omit_defaults=True):
    """A machine instruction and the number of warp samples on it."""

    offset: int
    """Bytes from the start of the kernel."""
    text: str
    """SASS."""
    samples: int
    reason: str
    """The most frequent warp state."""
    reason_samples: int
    file: str = ""
    """Of its source line, as hot lines name it; empty where the report has none."""
    line: int = 0


class Detail(FrozenStruct, frozen=True, omit_defaults=True):
    """NVIDIA's rule results and hot lines of one launch, from a report with every section: shown, never judged by."""

    case: Case
    kernel: str
    samples: int
    """All warp samples; 0 where none were taken."""
    advice: list[RuleResult]
    lines: list[HotLine]
    """The hottest first; those of libraries after the kernel's own."""
    instructions: list[HotInstruction] = []
    """The hottest first."""


class Attempt(FrozenStruct, frozen=True):
    """One ncu process."""

    name: str
    kind: Literal["samples", "detail", "import", "times"]
    """times: the light pass of a capture, which the shares of its kernels are from."""
    command: list[str]
    started: str
    seconds: float | None = None
    """None while it runs."""
    exit_status: int | None = None
    """ncu's; None where stallgate ended it."""
    errors: list[str] = []
    """ncu's error lines, explained where stallgate knows them."""
    report: str | None = None
    """The ncu report, relative to the run's folder."""
    sha256: str | None = None
    environment: Environment | None = None
    details: list[Detail] = []
    """Set where the report has every section."""
    warm_up: int | None = None
    """Of a capture: the first launches of each case that are left out, where there are more. NVTX ranges are no cases
    then: only some of their launches were measured."""


Samples = Annotated[int, Meta(ge=1, le=100)]
"""Profiled calls of a case."""

TimeLimit = Annotated[float, Meta(ge=0)]
"""In seconds."""


class Settings(FrozenStruct, frozen=True):
    """How a run was measured."""

    samples: Samples
    timeout_s: float
    clock_control: str
    cache_control: str
    metrics: list[str]
    """ncu metric names that were asked for."""


class MeasureOptions(FrozenStruct, frozen=True):
    """What was asked for when a run was begun, so that it can be gone on with."""

    python: str
    """The interpreter that has torch and triton; empty: on each worker of a fleet its own."""
    samples: Samples = 5
    timeout_s: TimeLimit = 120.0
    """Seconds that a step of the child may take before its case is given up."""
    grace_s: TimeLimit = 10.0
    """Seconds that ncu may take to write its report after it was told to end."""
    metrics: list[str] | None = None
    """Short names; None for the whole catalogue."""
    detail: bool = False
    """One more launch of each case with the whole section set."""
    isolate: bool = False
    """A process of its own for every variant."""
    apart: list[str] = []
    """Variants that have a process of their own in any case: code that is not trusted."""
    device: int | None = None
    """Index of the GPU; None for the first that is visible."""
    report: bool = False
    """Whether the page was to be drawn."""
    record: bool = False
    """Whether the run was to be kept as a recording."""


class Selection(FrozenStruct, frozen=True):
    """What a run was asked to cover; where a list is empty, everything."""

    subjects: list[str] = []
    """``problem`` or ``problem/variant``."""
    workloads: list[str] = []

    def has_variant(self, problem: str, variant: str) -> bool:
        return not self.subjects or problem in self.subjects or f"{problem}/{variant}" in self.subjects

    def has_workload(self, workload: str) -> bool:
        return not self.workloads or workload in self.workloads


class Origin(FrozenStruct, frozen=True):
    """The recording that a run replays for one problem."""

    path: str
    created: str
    commit: str | None
    dirty: bool
    settings: Settings | None = None
    """Set where the run's recordings were not all measured alike; else the run's settings hold."""


class Subject(FrozenStruct, frozen=True):
    """A problem as it was when it was measured."""

    title: str
    workloads: dict[str, Workload]
    roles: dict[str, Role]
    digests: dict[str, str]
    """Name -> SHA-256 of each variant's file, the reference, each workload and the child."""
    ceilings: dict[str, CeilingKind] = {}
    """What roofs saturate that saturate something else than bytes."""
    swept: dict[str, dict[str, dict[str, object]]] = {}
    """Variant -> the configurations that a sweep tried, with their tunables: no file has them, so none can change."""


CountersOf = Literal["measured", "missed", "not_wanted"]
"""measured: the second pass has counters of the kernel. missed: it was to, and has none. not_wanted: it was not to."""


class ProgramKernel(FrozenStruct, frozen=True):
    """A kernel of a captured program, and its part of the program's GPU time."""

    kernel: str
    signature: str
    launches: int
    time_ns: float
    """Of all its launches together."""
    share: float
    """Of the GPU time of all kernels, 0 to 1."""
    counters: CountersOf = "not_wanted"


class Program(FrozenStruct, frozen=True):
    """A program that was run under ncu, and where its GPU time went."""

    command: list[str]
    exit_status: int | None = None
    """As ncu tells it, of the pass that took times only; None where stallgate ended it."""
    seconds: float | None = None
    """How long that pass took."""
    kernels: list[ProgramKernel] = []
    """The largest share first."""
    failures: list[str] = []
    """How its passes ended that did not end well."""
    untimed: int = 0
    """Launches that ncu could not time."""


class Run(FrozenStruct, frozen=True):
    """Everything that one profile produced."""

    format: int
    name: str
    kind: Literal["live", "recorded", "imported"]
    created: str
    """UTC, ISO 8601."""
    stallgate: str
    reader: str
    """Version of ncu_report."""
    commit: str | None
    dirty: bool
    arguments: list[str]
    """The command line, for a reader."""
    settings: Settings | None
    """None of reports that stallgate did not make, and where the recordings that are replayed differ: then each origin
    has its own."""
    subjects: dict[str, Subject]
    cases: list[CaseResult]
    attempts: list[Attempt] = field(default_factory=list)
    complete: bool = False
    origins: dict[str, Origin] = {}
    """Problem -> the recording that is replayed. A replay has problems without one: they are not measured."""
    options: MeasureOptions | None = None
    """Of a live run."""
    selection: Selection = Selection()
    """Of a live run and of a replay; a recording stands for all of its problem."""
    stages: list[str] = []
    """Of an imported run: the stages that it was imported to be judged by; empty: the project's for imports."""
    program: Program | None = None
    """Of a capture: the program, and the share of each of its kernels."""


# --- what was read ----------------------------------------------------------------------------------------------------

State = Literal["measured", "no_value", "absent", "not_finite", "out_of_range"]


class Reading(FrozenStruct, frozen=True):
    """One metric of one launch or call, with its state: never a bare float."""

    state: State
    value: float | None
    """Set exactly where the state is ``measured``."""
    ncu_name: str
    """The ncu name or formula of the value; without a value, the preferred name."""
    source: Literal["ncu", "formula", "combined", "derived"]


class RawMetric(FrozenStruct, frozen=True):
    """A metric as ``ncu_report`` has it."""

    has_value: bool
    value: float | str | None
    unit: str


LaunchKind = Literal["kernel", "range", "graph", "other"]
"""What one result of ncu is of: a kernel launch, a range or a CUDA graph replayed as a whole, or anything else."""


class InnerLaunch(FrozenStruct, frozen=True):
    """A launch within a range or a CUDA graph that ncu replayed as a whole."""

    kernel: str
    grid: tuple[int, int, int] | None
    block: tuple[int, int, int] | None
    registers: int | None


class Launch(FrozenStruct, frozen=True):
    """One kernel launch as ncu saw it, or one range or CUDA graph that it replayed as a whole."""

    index: int
    kernel: str | None
    """None for a phantom: the sign of a damaged report or a faulting launch. Of a range or a graph, ncu's word."""
    ranges: list[str]
    """Open NVTX push/pop ranges, outermost first; those of another than the default domain as ``domain@range``."""
    metrics: dict[str, RawMetric]
    domains: list[list[str]] = []
    """The same ranges by NVTX domain, where there are several: ranges nest within their domain alone."""
    kind: LaunchKind = "kernel"
    inner: list[InnerLaunch] = []
    """Of a range or a graph: its launches in their order, where the report has them."""
    has_counters: bool = True
    """Whether any hardware counter has a value."""
    has_statistics_alone: bool = False
    """Whether it was profiled, but no hardware counter was asked for: geometry, registers and limits of occupancy."""
    reason: str = ""
    """Why it has no counters, where the report says so."""
    signature: str = ""
    """The kernel's C++ name with namespace and arguments; a Triton kernel's is its plain name."""
    samples: int = 0
    advice: list[RuleResult] = []
    lines: list[HotLine] = []
    instructions: list[HotInstruction] = []
    """``samples``, ``advice``, ``lines`` and ``instructions`` are read where details are asked for."""

    @property
    def is_profiled(self) -> bool:
        """Whether it has all that was asked for, as far as a report shows."""
        return self.has_counters or self.has_statistics_alone


# --- what it means ----------------------------------------------------------------------------------------------------

Status = Literal["pass", "fail", "undecided", "not_measured", "waived", "excused"]
"""waived: not met, but tolerated by a waiver in problem.toml. excused: not met, but the target's `unless` holds."""


class KernelPart(FrozenStruct, frozen=True):
    """One kernel's value of a metric, within a call of several kernels."""

    kernel: str
    value: float | None
    """Median of its samples; None where it is not measured."""


class Reason(FrozenStruct, frozen=True):
    """Why something is not judged or not compared."""

    code: str
    """Stable: see ``stallgate/judge/reasons.py`` and ``stallgate/compare/two_runs.py``."""
    sentence: str


class Excuse(FrozenStruct, frozen=True):
    """The number that excused a missed target, with the bound that it meets."""

    metric: str
    unit: str
    comparison: Comparison
    bound: float
    value: float
    """Median of the samples."""
    low: float
    high: float


class Verdict(FrozenStruct, frozen=True):
    """The gate's answer to one target on one case, or why a case cannot be judged."""

    status: Status
    reason: str
    """A stable code: see ``stallgate/judge/reasons.py``."""
    sentence: str
    stage: str | None
    problem: str
    variant: str
    """Empty where the verdict is on several cases of an imported run; ``name`` counts them."""
    configuration: str
    workload: str
    kernel: str | None = None
    """The kernel that is judged, where the target's scope is a kernel."""
    metric: str | None = None
    written_as: str | None = None
    """The name in the stage's file, where it is not the short name."""
    ncu_name: str | None = None
    unit: str | None = None
    comparison: Comparison | None = None
    bound: float | None = None
    """The absolute bound; None where it depends on a missing roof or baseline."""
    of_roof: float | None = None
    """The fraction of the roof that the bound is."""
    tolerance: float | None = None
    """How much worse than the baseline the bound allows it to be, as a fraction of the baseline."""
    tolerance_points: float | None = None
    """The same for a share, in percentage points."""
    baseline: float | None = None
    """The accepted value that the tolerance is around."""
    value: float | None = None
    """Median of the samples."""
    low: float | None = None
    high: float | None = None
    samples: int = 0
    parts: list[KernelPart] = []
    """The value of each kernel, where the call has several."""
    name: str = ""
    """What is judged, by the names in the report, in an imported run; it stands for variant and configuration."""
    place: str = ""
    """Of an imported case: its GPU, which stands for the workload."""
    warning: bool = False
    """Undecided, and by the stage's rule no reason to shut the gate."""
    waiver: Waiver | None = None
    """The waiver that covers the target, also one that has ended."""
    excuse: Excuse | None = None
    """Set where the target is excused."""


class CitedReading(FrozenStruct, frozen=True):
    """A number that an advice stands on, and what it was read from."""

    metric: str
    value: float
    unit: str
    launch: int | None
    """None of a whole call, of a median of several samples, and of a fact that no launch has."""
    sample: str
    """Empty of a median of several samples, of an imported case, and of a fact of the code or the workload."""
    samples: int = 1
    """How many samples, or launches of an imported case, the value is the median of."""


class Advice(FrozenStruct, frozen=True):
    """What to try next on a case, with the readings that say so."""

    rule: str
    title: str
    case: Case
    kernel: str
    """Empty of a whole call."""
    text: str
    readings: list[CitedReading]
    gain: float
    """The largest share of the case's time that the cause can explain, 0 to 1: no promise."""
    gain_ms: float
    tries: str
    disproved_by: str
    trap: str
    source: str
    """Where the rule comes from."""
    line: HotLine | None = None
    """The source line that shows the cause, where the run has one."""
    theirs: list[RuleResult] = []
    """NVIDIA's results on the same cause and launch."""
    contradictions: list[str] = []
    """What NVIDIA's results and the readings disagree on, a sentence each."""
    stops: bool = False
    """Whether it says that nothing is left to gain."""
