"""One module a protocol, each with `router(service) -> APIRouter`."""
