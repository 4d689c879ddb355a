"""What an implementation computes, as a profile to check it against from now on."""

from __future__ import annotations

from typing import Any

from conformance.runner import Run
from conformance.verdict import Group
from mxemu import __version__
from mxemu.errors import MxemuError
from mxemu.profile import Profile, plain, to_mapping


def found_profile(run: Run) -> Profile:
    """The profile that the conversions of a run follow.

    Parameters
    ----------
    run : Run
        Checked against any profile.

    Returns
    -------
    Profile
        What the run was compared with, and every choice that was found to be another one.

    Raises
    ------
    MxemuError
        When a group follows no profile, or two groups follow different ones.
    """
    changes: dict[str, tuple[Any, str]] = {}
    for group in run.groups:
        if group.further or group.accumulation is not None or group.carrier == "any":
            continue
        where = f"{group.operation} {group.format} ({group.carrier})"
        for profile in _followed(group, where):
            for key, choice in profile.changes(run.base).items():
                known, first = changes.setdefault(key, (choice, where))
                if known != choice:
                    raise MxemuError(
                        f"{first} follows {key}={plain(known)}, {where} {key}={plain(choice)}; expected one profile",
                        "narrow the check down with --operation, --format or --carrier",
                    )
    return run.base.replace(**{key: choice for key, (choice, _) in changes.items()})


def _followed(group: Group, where: str) -> list[Profile]:
    """The profiles that explain a group: of its judged cases, and of those that the specification leaves open."""
    named = [one for one in group.hypotheses if one.profile is not None and one.complete]
    if group.verdict in ("FAIL", "crash") and not named:
        raise MxemuError(f"{where} follows no profile known here; nothing is written")
    found = [one.profile for one in (*named[:1], group.open_hypothesis) if one is not None]
    return [profile for profile in found if profile is not None]


def toml(profile: Profile, run: Run) -> str:
    """A profile as the file that ``--profile`` reads."""
    import tomli_w

    about = run.capabilities
    head = f"# What {about.name} {about.version} computes, as mxemu {__version__} found it.\n"
    return head + tomli_w.dumps(to_mapping(profile))
