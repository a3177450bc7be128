"""
What schemathesis must know of this service: which requests it may send, what exists, and what an error is.

Pictures are held to one step, 64x64, no guidance, a short prompt and a short deadline, and most are not waited for: the run is about
HTTP. Only values that the document allows are replaced, so that wrong ones arrive as they were made. Addresses lead to
the script.

checks/fuzz.api.mjs says what it put into the service (FUZZ_KNOWN) and where the tally goes (FUZZ_TALLY).
"""

import base64
import collections
import functools
import itertools
import json
import os
import pathlib
import random
import urllib.parse

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.jsonschema import make_validator
from schemathesis.core.parameters import EncodedPath, ParameterLocation

KNOWN = json.loads(os.environ["FUZZ_KNOWN"])
PICTURES = [pathlib.Path(file).read_bytes() for file in KNOWN["files"]]

HELD = {
    "n": 1,  # MAX_IMAGES may be less than the document allows
    "num_inference_steps": 1,
    "size": "64x64",
    "guidance_scale": 1,  # or the negative prompt would be encoded, too
    "reference_image_url": KNOWN["address"],
    "image": KNOWN["address"],
    "mask": KNOWN["address"],
    "webhook_url": KNOWN["address"],
}
SMALLEST = {
    "/v1/images/memory": {"user_id": "ann", "prompt": "a fox"},
    "/v1/images/subject": {"user_id": "ann"},
    "/v1/images/generations": {"prompt": "a fox"},
}
# Routes of other services' clients: they wait for each picture, so most requests name a LoRA that is not there, which is
# told last.
FRONT_ENDS = {
    "/": {"inputs": "a fox"},
    "/sdapi/v1/txt2img": {"prompt": "a fox"},
    "/sdapi/v1/img2img": {"prompt": "a fox", "init_images": ["x"]},
    "/sdapi/v1/options": {},
}
FRONT_END_HELD = {
    **{"width": 64, "height": 64, "steps": 1, "cfg_scale": 1, "batch_size": 1, "n_iter": 1},
    **{"sampler_name": "Euler a", "sampler_index": "DPM++ 2M Karras", "scheduler": "Karras"},
    **{"sd_model_checkpoint": "demo"},
}
FRONT_END_ALWAYS = ("width", "height", "steps", "cfg_scale")
FRONT_END_DRAWS_SHARE = 0.05
ALWAYS = ("num_inference_steps", "size", "guidance_scale", "deadline_seconds")
LONGEST_PROMPT = 60  # characters; thousands take a minute to encode
WAIT_SHARE = 0.01
KNOWN_SHARE = 0.5
FRESH_SHARE = 0.7  # of Idempotency-Keys, or most would be spent
ENDED_SHARE = 0.9  # an event stream lasts as long as its job

choose = random.Random(KNOWN["seed"])
number = itertools.count()

# Random bytes alone would never be a picture.
for media_type in ("image/png", "image/jpeg", "image/webp"):
    schemathesis.openapi.media_type(media_type, st.sampled_from(PICTURES) | st.binary(max_size=4096))


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.path in SMALLEST and case.method == "POST":
        waits = choose.random() < WAIT_SHARE
        if isinstance(case.body, dict):
            # What nobody waits for makes room soon, drawn or not.
            hold(case.operation, case.body, {**HELD, "deadline_seconds": 20 if waits else 2})
        if is_valid(case, ParameterLocation.HEADER):
            soften(case.headers, waits)
    if case.operation.path.endswith("/crop") and isinstance(case.body, dict):
        put_inside(case.operation, case.body)
    if case.operation.path in FRONT_ENDS and case.method == "POST" and isinstance(case.body, dict):
        hold_front_end(case.operation, case.body, choose.random() < FRONT_END_DRAWS_SHARE)
    if is_valid(case, ParameterLocation.PATH) and case.path_parameters:
        name_what_exists(case, case.path_parameters)
    if is_valid(case, ParameterLocation.QUERY) and case.query and "cursor" in case.query:
        case.query["cursor"] = KNOWN["cursor"]


def is_valid(case, location):
    return not case.meta.is_negative_at(location)


def soften(headers, waits):
    key = headers.get("Idempotency-Key")
    if key and choose.random() < FRESH_SHARE:
        headers["Idempotency-Key"] = f"{next(number)} {key}"[:255]
    odd = headers.pop("Prefer", None)
    if not waits:
        headers["Prefer"] = f"respond-async, {odd}" if odd else "respond-async"


def name_what_exists(case, parameters):
    removes = case.method == "DELETE"
    if case.operation.path.endswith("/events"):
        use_known(parameters, "staying", ENDED_SHARE)
    elif case.meta.phase.name.value != "stateful":  # chains of calls bring what they made
        use_known(parameters, "leaving" if removes else "staying", KNOWN_SHARE)
    if removes and parameters.get("user_id") in KNOWN["staying"]["user_id"]:
        use_known(parameters, "leaving", 1)


def use_known(parameters, group, share):
    for name in parameters:
        known = KNOWN[group].get(name)
        if known and choose.random() < share:
            parameters[name] = EncodedPath(choose.choice(known))  # the slashes of a key stay as they are


def hold(operation, body, held):
    for name, value in held.items():
        if name in body and allows(operation, name, body[name]):
            body[name] = value
        elif name in ALWAYS:
            body.setdefault(name, value)
    for name in ("prompt", "negative_prompt"):
        if isinstance(body.get(name), str) and allows(operation, name, body[name]):
            short = body[name][:LONGEST_PROMPT]
            body[name] = short if allows(operation, name, short) else "a fox"
    if allows(operation, "user_id", body.get("user_id")) and choose.random() < KNOWN_SHARE:
        body["user_id"] = choose.choice(KNOWN["staying"]["user_id"])
    # A PNG keeps every pixel: it takes no other quality.
    if body.get("output_format") in (None, "png") and allows(operation, "output_compression", body.get("output_compression")):
        body.pop("output_compression", None)
    # What the document does not tell: a mask only with its image and in its size, events only with an address, each LoRA once.
    if body.get("mask") is not None:
        body.setdefault("image", held["image"])
        for larger in ("hires", "upscale"):
            if allows(operation, larger, body.get(larger)):
                body.pop(larger, None)
    if body.get("control") is not None and allows(operation, "hires", body.get("hires")):
        body.pop("hires", None)
    # One of the two methods, and what belongs to it.
    if body.get("identity") in (None, "ip_adapter") or body.get("ip_adapter_scale") is not None:
        if allows(operation, "identity_strength", body.get("identity_strength")):
            body.pop("identity_strength", None)
    if body.get("webhook_events") is not None:
        body.setdefault("webhook_url", held["webhook_url"])
    if body.get("loras") and allows(operation, "loras", body["loras"]):
        body["loras"] = [{**body["loras"][0], "name": choose.choice([KNOWN["lora"], body["loras"][0]["name"]])}]


# Only the picture's size says what is inside it.
CORNER = {"x": 0, "y": 0, "width": 16, "height": 16}


def put_inside(operation, body):
    if rules_of(operation).is_valid(body):
        body.update(CORNER)


def hold_front_end(operation, body, draws):
    absent = {} if draws else {"loras": [{"name": "nobody"}]}
    tag = "" if draws else " <lora:nobody:1>"
    if operation.path == "/":
        if allows(operation, "inputs", body.get("inputs")):
            body["inputs"] = "a fox"  # a blank one is none
        if allows(operation, "parameters", body.get("parameters")):
            body["parameters"] = {"size": "64x64", "num_inference_steps": 1, "guidance_scale": 1, **absent}
        return
    for name, value in FRONT_END_HELD.items():
        if name in body and allows(operation, name, body[name]):
            body[name] = value if body[name] is not None else None
        if name in FRONT_END_ALWAYS and operation.path != "/sdapi/v1/options":
            body[name] = value if body.get(name) is None else body[name]
    if isinstance(body.get("prompt"), str) and allows(operation, "prompt", body["prompt"]):
        body["prompt"] = f"a fox{tag}"
    for name, value in {"negative_prompt": "blurry", "mask": picture(), "init_images": [picture()]}.items():
        if body.get(name) is not None and allows(operation, name, body[name]):
            body[name] = value


def picture():
    return base64.b64encode(PICTURES[0]).decode()


def allows(operation, name, value):
    """Whether the document allows this value, whatever else is in the body."""
    return rules_of(operation).is_valid({**{**SMALLEST, **FRONT_ENDS}[operation.path], name: value})


@functools.cache
def rules_of(operation):
    # Not the body's optimized_schema: there patterns bound the length, too, and one prompt of 32,000 takes 15 s.
    document = operation.schema.raw_schema
    path = urllib.parse.quote(operation.path.replace("/", "~1"))
    pointer = f"#/paths/{path}/{operation.method.lower()}/requestBody/content/application~1json/schema"
    return make_validator({**document, "$ref": pointer}, operation.schema.adapter.jsonschema_validator_cls)


@schemathesis.check
class error_conformance:
    """
    Errors are answers of the document too: their shape and, of each operation, their codes. `internal_error` is never
    right: it is what a defect is answered with.
    """

    def __init__(self):
        self.tally = collections.Counter()

    def after_response(self, ctx, response, case):
        status = response.status_code
        documented = responses_of(case).get(str(status))
        code = None
        try:
            if status >= 400 and response.request.method != "HEAD" and is_error(documented):
                code = code_of(response)
                judge(code, status, documented)
        finally:
            self.tally[f"{case.operation.label}\t{status}\t{code or '-'}"] += 1

    def after_run(self, ctx):
        pathlib.Path(os.environ["FUZZ_TALLY"]).write_text(json.dumps(self.tally))


def responses_of(case):
    """What the document says of this path and method; nothing for methods that it does not have."""
    path = case.operation.schema.raw_schema["paths"][case.operation.path]
    return path.get(case.method.lower(), {}).get("responses", {})


def is_error(documented):
    """Health routes answer 503 with a report, which is no error."""
    return documented is None or "ErrorReply" in json.dumps(documented)


def code_of(response):
    try:
        error = json.loads(response.content)["error"]
        assert isinstance(error["message"], str) and error["message"]
        assert isinstance(error["type"], str)
        assert error["param"] is None or isinstance(error["param"], str)
        assert isinstance(error["code"], str)
    except (ValueError, KeyError, TypeError, AssertionError):
        raise AssertionError(f"{response.status_code} without the shape of an error") from None
    return error["code"]


def judge(code, status, documented):
    assert code != "internal_error", "internal_error: a defect of the service, its log says which"
    if documented is None:
        assert status < 500, f"{status} {code} is not documented"
    else:
        codes = documented["content"]["application/json"]["examples"]
        assert code in codes, f"{status} {code} is not documented, only {', '.join(codes)}"
