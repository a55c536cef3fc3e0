"""``oddlens serve``: fitted detectors behind HTTP."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from oddlens.cli.runner import verb
from oddlens.errors import UsageError

_ENVIRONMENT = "ODDLENS_SERVE_"
_NEEDED = ("fastapi", "onnxruntime", "prometheus_client", "python_multipart", "uvicorn")
MISSING = "the service needs libraries that are not installed: pip install 'oddlens[serve]'"


def _option(name: str, text: str, **more: Any) -> Any:
    """An option that can be set in the environment as well."""
    variable = _ENVIRONMENT + name.removeprefix("--").replace("-", "_").upper()
    return typer.Option(name, envvar=variable, help=text, **more)


@verb
def serve(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help="Exported .onnx files, and fitted detectors."),
    ],
    host: Annotated[str, _option("--host", "The interface to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, _option("--port", "The port; 0 for any that is free.", min=0, max=65535)
    ] = 8000,
    token: Annotated[
        str | None,
        _option(
            "--token",
            "What callers must send as `Authorization: Bearer TOKEN`. Others on this machine see "
            "it in the list of processes: better set it in the environment, or use --token-file.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None, _option("--token-file", "A file that holds the token.")
    ] = None,
    max_files: Annotated[int, _option("--max-files", "Images in one request.")] = 64,
    max_body_bytes: Annotated[
        int, _option("--max-body-bytes", "Bytes of one request.")
    ] = 67_108_864,
    max_image_bytes: Annotated[
        int, _option("--max-image-bytes", "Bytes of one image file.")
    ] = 33_554_432,
    max_pixels: Annotated[int, _option("--max-pixels", "Pixels of one image.")] = 89_478_485,
    max_waiting_bytes: Annotated[
        int, _option("--max-waiting-bytes", "Bytes of all requests that are read or wait.")
    ] = 536_870_912,
    queue_images: Annotated[
        int, _option("--queue-images", "Images of all requests that wait or are scored.")
    ] = 256,
    max_map_pixels: Annotated[
        int, _option("--max-map-pixels", "Pixels of the heat maps of one answer.")
    ] = 8_388_608,
    max_waiting_map_pixels: Annotated[
        int,
        _option("--max-waiting-map-pixels", "Pixels of all heat maps that are made or wait."),
    ] = 33_554_432,
    max_connections: Annotated[int, _option("--max-connections", "Open connections.")] = 512,
    receive_seconds: Annotated[
        float,
        _option(
            "--receive-seconds", "Time to send one request, and to take each portion of an answer."
        ),
    ] = 30.0,
    answer_seconds: Annotated[
        float, _option("--answer-seconds", "Time to score one request.")
    ] = 60.0,
    batch_size: Annotated[int, _option("--batch-size", "Most images in one pass of a model.")] = 16,
    batch_wait_ms: Annotated[
        float, _option("--batch-wait-ms", "Time that a batch that is not full waits for more.")
    ] = 2.0,
    reload_seconds: Annotated[
        float,
        _option(
            "--reload-seconds",
            "How often to look whether a model file has changed; 0: only at SIGHUP.",
        ),
    ] = 0.0,
) -> None:
    """Answer over HTTP how odd images are: POST /v1/score, and a page to try it at /.

    Listens on this machine alone, unless there is a token. Exported detectors (.onnx) are served
    without torch. SIGHUP loads models anew that have changed, SIGTERM ends the service when it has
    answered what it took. The log on stderr is one JSON object a line.
    """
    limits = {name: value for name, value in locals().items() if name not in _NO_LIMITS}
    if any(find_spec(library) is None for library in _NEEDED):
        raise UsageError(MISSING)

    from oddlens.serving import run

    run.serve(models, host, port, _settings(_token(token, token_file), limits))


_NO_LIMITS = ("models", "host", "port", "token", "token_file")


def _token(token: str | None, file: Path | None) -> str | None:
    if file is None:
        return token
    if token is not None:
        raise UsageError("--token and --token-file: give one of both")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {file}: cannot be read ({error})") from error


def _settings(token: str | None, limits: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from oddlens.serving.settings import Settings

    try:
        return Settings(token=token, **limits)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]  # the input may be the token
        option = "".join(f"--{str(part).replace('_', '-')}: " for part in first["loc"])
        raise UsageError(option + first["msg"].removeprefix("Value error, ")) from error
