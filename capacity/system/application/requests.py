"""What a request to the gateway must say; what is wrong with it is a status below 500 and a reason."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

OWNER_HEADER = "X-Owner"  # as the authenticator in front of the gateway sets it
OWNER_LIMIT = 2**31 - 1
BODY_LIMIT_BYTES = 16_384
PLATFORMS = ("mastodon", "bluesky", "blog", "newsletter")
NUMBER = re.compile(r"[1-9][0-9]{0,9}")


class Body(BaseModel):
    """A JSON object: unknown keys are refused and a text is no number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _whole(value: Any) -> Any:
    """To JSON Schema 9.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Callback(Body):
    """What a platform gives the user's browser to bring: a code of visible letters, as in RFC 6749, appendix A.11."""

    code: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,512}$")]


class Publication(Body):
    """Which of the caller's posts is published: 0 is the newest."""

    place: Annotated[int, BeforeValidator(_whole), Field(ge=0, le=19)]


Model = TypeVar("Model", bound=Body)


def caller(request: Request) -> int:
    """The owner's number; 401 where it is missing, 400 where it is none."""
    given = request.headers.getlist(OWNER_HEADER)
    if not given:
        raise HTTPException(401, f"the header {OWNER_HEADER} is missing", {"WWW-Authenticate": OWNER_HEADER})
    if len(given) > 1 or not NUMBER.fullmatch(given[0]) or int(given[0]) > OWNER_LIMIT:
        raise HTTPException(400, f"the header {OWNER_HEADER} must be one whole number from 1 to {OWNER_LIMIT}")
    return int(given[0])


def limit(request: Request, default: int, most: int) -> int:
    """How many rows are wanted, at most; 422 where `limit` is no number from 1 to `most`."""
    given = request.query_params.getlist("limit")
    if not given:
        return default
    if len(given) > 1 or not NUMBER.fullmatch(given[0]) or int(given[0]) > most:
        raise HTTPException(422, f"limit must be one whole number from 1 to {most}")
    return int(given[0])


def platform(request: Request) -> str:
    """The platform in the path; 404 where there is none of that name."""
    name: str = request.path_params["platform"]
    if name not in PLATFORMS:
        raise HTTPException(404, f"there is no platform of that name; there are {', '.join(PLATFORMS)}")
    return name


async def body(request: Request, model: type[Model]) -> Model:
    """The body as `model`: 415 for another media type, 413 above the limit, 400 for what is no JSON, else 422.

    A body without a media type is taken for JSON.
    """
    given = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if given != "application/json":
        raise HTTPException(415, "the body must be application/json")
    try:
        return model.model_validate_json(await _read(request))
    except ValidationError as error:
        raise _unusable(error) from None


async def _read(request: Request) -> bytes:
    """The body's bytes; one that is too long is not read to its end."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > BODY_LIMIT_BYTES:
        raise _too_large()
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > BODY_LIMIT_BYTES:
            raise _too_large()
    return bytes(read)


def _too_large() -> HTTPException:
    return HTTPException(413, f"the body must have at most {BODY_LIMIT_BYTES} bytes")


def _unusable(error: ValidationError) -> HTTPException:
    first: Any = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return HTTPException(400, f"the body is not JSON: {first['ctx']['error']}")
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    return HTTPException(422, f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}")
