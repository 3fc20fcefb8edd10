"""Models behind an API of chat completions, described by "api:FILE.yaml". Every reply is first appended to a file below
BENCH_HOME/answers, so an interrupted run never pays for an image twice."""

import json
import os
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from threading import Event, Lock, Semaphore
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from registry.cards import ModelCard
from registry.documents import read_document, validated
from registry.download import TransferError, send_request
from registry.families.family import Draft
from registry.families.predict import chosen_alone
from registry.files import WeightSources, digest_data, expanded, locked
from registry.labels import label_space
from registry.preprocessing import StatedInput
from registry.user_errors import AnswerError, CardError, foreign, shown

PREFIX = "api:"
QUESTION = "Which one of these does the image show: {options}? Answer with that word alone."
#: More options than these are no question that is answered in one word.
MOST_OPTIONS = 100
#: Bytes of a reply; seconds of the first pause, and of the longest.
MOST_BYTES, PAUSE, MOST_PAUSE = 2**20, 1.0, 60.0
_LABEL = "[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*"
_URL = re.compile(rf"https?://{_LABEL}(?:\.{_LABEL})*(?::\d+)?(?:/[^\s@?#\\]*)?")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model behind an API, as described by FILE.yaml. The first four fields are part of its identity."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    url: str  # of the API, without /chat/completions
    model: Annotated[str, Field(min_length=1)]  # its name there
    question: str = QUESTION  # with {options} once
    body: dict[str, Any] = field(default_factory=lambda: {"temperature": 0, "max_tokens": 16})  # of each request
    concurrency: Annotated[int, Field(ge=1, le=32)] = 4  # requests at a time
    # Of one request, after status 408, 429 or 5xx, or `timeout` seconds without a whole answer; pauses double.
    retries: Annotated[int, Field(ge=0, le=20)] = 6
    timeout: Annotated[float, Field(gt=0, le=3600)] = 60
    most_requests: Annotated[int, Field(ge=0)]  # for this question: retries and those of earlier runs count

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.url):
            raise ValueError("url: http(s)://HOST[:PORT]/PATH, without login and options")
        if self.question.count("{options}") != 1:
            raise ValueError("question: a text with {options} once")
        if self.body.keys() & {"model", "messages", "stream", "n"}:
            raise ValueError("body: no model, messages, stream and n")

    @property
    def variable(self) -> str:
        """Return the environment variable of its key: named after the host, so that no other is ever sent it."""
        host = self.url.split("/")[2].upper()
        return "BENCH_KEY_" + host.replace(".", "_").replace("-", "__").replace(":", "___")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One line of the file of answers."""

    image: str  # digest of its pixels
    answer: str  # an option, "" for none
    kind: str  # "answer", "refusal", "other" (a text that is not an option) or "failed" (a request without a reply)
    text: str = ""
    served: str = ""  # the model that answered, as the endpoint calls it


def describe(draft: Draft, _folder: Path, _place: WeightSources) -> Draft:
    """Return the draft of an endpoint: the card contains its whole file."""
    named = draft.arch.removeprefix(PREFIX)
    if draft.weights is not None or not named:
        raise CardError("--arch api:FILE.yaml describes the endpoint: leave out --weights.")
    said, labels = read_document(expanded(named), "endpoint", CardError), draft.labels or "geirhos16"
    arch = PREFIX + _endpoint(said, f"endpoint {shown(named)}").model
    how = {"size": 224, "resize": 256, "mean": (0.0,) * 3, "std": (1.0,) * 3, "fixed_size": False}
    stated = StatedInput(how, "images are sent as they are shown")
    return replace(draft, source="api", arch=arch, labels=labels, options={"api": said}, stated=stated)


def _endpoint(said: Any, where: str) -> Endpoint:
    fields = said if isinstance(said, dict) else {}
    return validated(Endpoint, fields, lambda problem: CardError(f"{where}: {problem}."))


def network(card: ModelCard, place: WeightSources, _outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
    """Return the endpoint as a network, and the digest of the question. Nothing is asked yet."""
    how, space = card.preprocess, label_space(card.labels)
    words = space.words or space.classes
    if bare or how is None or (how.mean, how.std, how.scale, how.channels) != ((0, 0, 0), (1, 1, 1), 1, "rgb"):
        raise CardError(f"'{card.name}' is sent images as they are, and decides: no --mean, --std, --scale, --probe.")
    if len(words) > MOST_OPTIONS:
        raise CardError(f"'{card.name}' would choose among {len(words)} options, {MOST_OPTIONS} at most: --labels.")
    endpoint = _endpoint(card.options.get("api"), f"card '{card.name}': options.api")
    key = ((place.secret and place.secret(endpoint.variable)) or "").strip()
    if not key.isascii() or not key.isprintable():
        raise AnswerError(f"{endpoint.variable} holds characters that no key has.")
    question = digest_data([endpoint.url, endpoint.model, endpoint.question, endpoint.body, words])
    file = place.weights_folder.with_name("answers") / f"{question[:32]}.jsonl"
    module = Chat(name=card.name, endpoint=endpoint, words=words, file=file, key=key)
    module.new = card.sha256 is None
    module.read_file()
    return module.eval(), question


class Chat(nn.Module):
    """An endpoint as a network: it maps images in [0,1] to decisions as logits, the last for no answer."""

    new = False  # being registered, so an unreachable endpoint is asked only once

    def __init__(self, *, name: str, endpoint: Endpoint, words: tuple[str, ...], file: Path, key: str) -> None:
        super().__init__()
        self.name, self.endpoint, self.words, self.file, self._key = name, endpoint, words, file, key
        self._kept: dict[str, Reply] = {}
        self._url = f"{endpoint.url.rstrip('/')}/chat/completions"
        self._read = self._failed = 0  # bytes of the file; requests without a reply
        self._torn = b""  # the start of a line that was cut short
        self._lock = Lock()

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] in [0,1] to logits [n, options + 1]. Only images without a reply are asked. Raises
        AnswerError if the endpoint refuses, gives no answer after all retries, or the cap is reached."""
        levels = (x * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        digests = [sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest() for image in levels]
        with locked(self.file.parent):  # no other process asks the same meanwhile
            self.read_file()
            lacking = {name: image for name, image in zip(digests, levels, strict=True) if name not in self._kept}
            # Several are asked about at a time. A failure ends it; pending requests are finished, their replies kept.
            budget = Semaphore(max(0, self.endpoint.most_requests - len(self._kept) - self._failed))
            pool, stop = ThreadPoolExecutor(self.endpoint.concurrency), Event()
            try:
                within = [*pool.map(partial(self._ask, budget, stop), lacking.items())]
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
            if not all(within):
                cap = f"its cap, {self.endpoint.most_requests:,} requests: {self.remark}"
                raise AnswerError(f"'{self.name}' has reached {cap}. Nothing is asked twice.")
        places = {word: at for at, word in enumerate(self.words)}
        answers = [places.get(self._kept[digest].answer, -1) for digest in digests]
        return chosen_alone(answers, len(self.words)).to(x.device)

    @property
    def remark(self) -> str:
        """Return a summary of the endpoint's answers so far."""
        kinds = Counter(reply.kind for reply in self._kept.values())
        silent = f"{kinds['refusal']:,} refused, {kinds['other']:,} none of the options"
        return f"{kinds.total():,} replies kept, {kinds['refusal'] + kinds['other']:,} of them no answer ({silent})"

    def read_file(self) -> None:
        """Read the lines that this or another process has added. A truncated or invalid line is ignored."""
        with suppress(FileNotFoundError), self.file.open("rb") as file:
            file.seek(self._read)
            lines, end, self._torn = file.read().rpartition(b"\n")
            self._read += len(lines + end)
            for line in lines.split(b"\n"):
                with suppress(ValueError, TypeError, AnswerError):
                    reply = validated(Reply, json.loads(line), AnswerError)
                    self._failed += reply.kind == "failed"
                    if reply.kind != "failed" and reply.answer in ("", *self.words):
                        self._kept[reply.image] = reply

    def _write(self, reply: Reply) -> None:
        with self._lock:
            with self.file.open("ab") as file:
                self.file.chmod(0o600)  # texts of others, for nobody else on this machine
                file.write(b"\n" * bool(self._torn) + json.dumps(asdict(reply)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self.read_file()

    def _ask(self, budget: Semaphore, stop: Event, item: tuple[str, NDArray[np.uint8]]) -> bool:
        """Ask about one image, again while the endpoint is busy. Returns whether the budget of requests allowed it."""
        digest, image = item
        # The order of the options is drawn anew for each image, from the image alone.
        options = sorted(self.words, key=lambda word: sha256(f"{digest} {word}".encode()).digest())
        text, picture = self.endpoint.question.replace("{options}", ", ".join(options)), BytesIO()
        Image.fromarray(image).save(picture, format="PNG")
        url = {"url": f"data:image/png;base64,{b64encode(picture.getvalue()).decode()}"}
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
        body = {**self.endpoint.body, "model": self.endpoint.model, "messages": [{"role": "user", "content": content}]}
        for tried in range(self.endpoint.retries + 1):
            if stop.is_set():
                break
            if not budget.acquire(blocking=False):
                return False
            reply = Reply(image=digest, answer="", kind="failed")
            try:
                status, plain = self._posted(body)
                busy = status in (408, 429) or status >= 500 or not (status or self.new)
                if not busy or tried == self.endpoint.retries:
                    reply = self._parsed(digest, status, plain)
                    break
            except AnswerError:
                stop.set()
                raise
            finally:
                self._write(reply)
            stop.wait(min(PAUSE * 2**tried, MOST_PAUSE))
        return True

    def _posted(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Send one request and return the status (0 for none) and the answer as plain data without the key."""
        seconds, content = self.endpoint.timeout, BytesIO()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            status = send_request(
                "POST", self._url, content.write, seconds=seconds, most=MOST_BYTES, silence=seconds, json=body,
                headers=headers, allow_redirects=False, auth=lambda request: request,  # no login of .netrc
            )  # fmt: skip
        except TransferError as error:
            return 0, str(error)
        text = content.getvalue().decode(errors="replace")
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), ensure_ascii=False)  # without escapes that would hide the key
        for form in (json.dumps(self._key)[1:-1], self._key) if self._key else ():
            text = text.replace(form, "***")
        try:
            return status, json.loads(text)
        except (ValueError, RecursionError):
            return status, text

    def _parsed(self, digest: str, status: int, plain: Any) -> Reply:
        """Return the reply of an answer: an option and nothing else, but for case, quotes, a full stop. Raises
        AnswerError for an error, and for what is no completion."""
        fault = plain.get("error", plain) if isinstance(plain, dict) else plain
        said, code = (fault.get("message", fault), fault.get("code")) if isinstance(fault, dict) else (fault, "")
        if status == HTTPStatus.BAD_REQUEST and code in ("content_filter", "content_policy_violation"):
            plain = {"choices": [{"message": {}, "finish_reason": "content_filter"}]}
        elif status != HTTPStatus.OK:
            key = f". The key is read from {self.endpoint.variable} ({'' if self._key else 'not '}set)"
            said = shown(str(said))[:300] + (key if status in (401, 403) else "")
            raise AnswerError(f"'{self.name}': no answer from {self._url} (status {status or 'none'}): {said}.")
        with foreign(f"'{self.name}':", "a reply", AnswerError, failed="is not a chat completion"):
            choice, served = plain["choices"][0], str(plain.get("model") or "")
            content = choice["message"].get("content") or ""
            text = content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)
            refused = bool(choice["message"].get("refusal")) or choice.get("finish_reason") == "content_filter"
        before = next((reply.served for reply in self._kept.values() if reply.served), served)
        if served not in ("", before):
            names = f"'{shown(served)[:80]}' now and was by '{shown(before)[:80]}' before"
            raise AnswerError(f"'{self.name}' is answered by {names}: name a fixed version as `model`.")
        bare = text.strip().strip("\"'`*.").strip().casefold()
        answer = "" if refused else {word.casefold(): word for word in self.words}.get(bare, "")
        kind = "refusal" if refused else "answer" if answer else "other"
        return Reply(image=digest, answer=answer, kind=kind, text=text[:500], served=served)
