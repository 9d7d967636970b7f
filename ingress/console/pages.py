"""From a template and what it shows to an answer.

Everything that a template prints is escaped, and a name that it does not know is an error (StrictUndefined).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ingress.accounts.permissions import Permission, can
from ingress.console.assets import Assets
from ingress.console.notices import forget, told
from ingress.console.visits import visitor

# A line may end between date and time, and nowhere else in them.
_TOGETHER = "\N{NO-BREAK SPACE}"
# Pages hold secrets now and then, and names of people always: nothing of them stays behind in the browser.
_HEADERS = {"Cache-Control": "no-store"}


class Pages:
    """The templates, compiled once.

    Args:
        assets: what they link to.
        registered_at: the host of a registry elsewhere, where schemas are registered instead of here.
    """

    def __init__(self, assets: Assets, registered_at: str | None) -> None:
        self._withheld = frozenset({Permission.CHANGE_SCHEMAS} if registered_at else ())
        self._environment = Environment(
            loader=PackageLoader("ingress.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(asset=assets.url, registered_at=registered_at)
        self._environment.filters.update(moment=moment, day=day, with_code=with_code)

    def answer(
        self,
        request: web.Request,
        template: str,
        *,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **context: object,
    ) -> web.Response:
        """The page; what was done just before is said on it, and not again."""
        signed_in = visitor(request)
        team = request.match_info.get("team")
        member_of = sorted(signed_in.memberships) if signed_in else []

        def allowed(permission: str) -> bool:
            wanted = Permission(permission)
            return signed_in is not None and wanted not in self._withheld and can(signed_in, wanted, team)

        notice = told(request)
        text = self._environment.get_template(template).render(
            context,
            signed_in=signed_in,
            allowed=allowed,
            teams=member_of,
            # Only who is in the team is shown the way through it.
            team=team if team in member_of else None,
            path=request.path,
            notice=notice.text if notice else None,
        )
        response = web.Response(text=text, content_type="text/html", status=status, headers=_HEADERS)
        response.headers.update(headers or {})
        if notice:
            forget(response)
        return response


def with_code(text: str) -> Markup:
    """Words in which names stand between backticks, as Markdown has them."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup().join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def moment(at: datetime) -> Markup:
    """A time as people and programs read it."""
    return Markup('<time datetime="{}">{}</time>').format(_exact(at), _words(at))


def day(at: datetime) -> Markup:
    """The same where the day is enough, and the rest only a look away."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_exact(at), _words(at), _date(at))


def _exact(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _words(at: datetime) -> str:
    return f"{_date(at)}, {at.astimezone(UTC):%H:%M}{_TOGETHER}UTC"


def _date(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at.day}{_TOGETHER}{at:%b}{_TOGETHER}{at:%Y}"
