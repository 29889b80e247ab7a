"""Crontab files become job definitions."""

from __future__ import annotations

import re

from leveret_core.crontab import CrontabResult, parse_crontab
from leveret_core.job_definition import define

USER_CRONTAB = r"""# Edit this file to introduce tasks to be run by cron.
#
# m h  dom mon dow   command

SHELL=/bin/bash
PATH = "/usr/local/bin:/usr/bin:/bin"
MAILTO=ops@example.com

# Nightly backup,
# kept for 30 days
0 2 * * *   /usr/local/bin/backup.sh --full > /var/log/backup.log 2>&1
CRON_TZ=Europe/Berlin
@daily report --day $(date +\%F)
*/15 9-17 * * mon-fri	mail -s "hello" team%Dear all,%100\% done%
@reboot /usr/bin/agent
61 * * * * never
30 4 * * *
"""


def problems_of(result: CrontabResult) -> list[tuple[int, str, bool]]:
    return [(problem.line, problem.message, problem.fatal) for problem in result.problems]


def test_a_users_crontab_becomes_jobs_and_a_list_of_problems() -> None:
    result = parse_crontab(USER_CRONTAB)
    keys = [job["key"] for job in result.jobs]
    env = {"SHELL": "/bin/bash", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    assert len(set(keys)) == 3
    assert result.jobs == [
        {
            "key": keys[0],
            "name": "backup-sh-full",
            "type": "shell.run",
            "description": "Nightly backup, kept for 30 days",
            "payload": {
                "command": "/usr/local/bin/backup.sh --full > /var/log/backup.log 2>&1",
                "stdin": None,
                "env": env,
            },
            "trigger": {"kind": "cron", "expression": "0 2 * * *", "timezone": "UTC"},
        },
        {
            "key": keys[1],
            "name": "report-day-date-f",
            "type": "shell.run",
            "description": "From a crontab: every day at 00:00 Europe/Berlin",
            "payload": {"command": "report --day $(date +%F)", "stdin": None, "env": env},
            "trigger": {"kind": "cron", "expression": "@daily", "timezone": "Europe/Berlin"},
        },
        {
            "key": keys[2],
            "name": "mail-s-hello-team",
            "type": "shell.run",
            "description": "From a crontab: every 15 minutes from 09:00 to 17:59, every weekday (Monday to Friday) "
            "Europe/Berlin",
            "payload": {"command": 'mail -s "hello" team', "stdin": "Dear all,\n100% done\n", "env": env},
            "trigger": {"kind": "cron", "expression": "*/15 9-17 * * mon-fri", "timezone": "Europe/Berlin"},
        },
    ]
    assert problems_of(result) == [
        (7, "MAILTO is not taken over: output goes into the occurrence's log", False),
        (15, "@reboot is not supported: a job has no machine to boot with; start it by hand or from the host", True),
        (16, "minute: 61 is above 59", True),
        (17, "expected minute hour day month weekday command, or an alias such as @daily in place of five", True),
    ]


def test_a_system_crontab_has_a_user_before_the_command() -> None:
    text = "17 *\t* * *\troot    cd / && run-parts --report /etc/cron.hourly\n@weekly www-data /srv/clean\n@daily root\n"
    result = parse_crontab(text, system=True, timezone="America/New_York")
    assert [(job["payload"]["user"], job["payload"]["command"]) for job in result.jobs] == [
        ("root", "cd / && run-parts --report /etc/cron.hourly"),
        ("www-data", "/srv/clean"),
    ]
    assert {job["trigger"]["timezone"] for job in result.jobs} == {"America/New_York"}
    assert [(problem.line, problem.fatal) for problem in result.problems] == [(3, True)]


SYSTEM_CRONTAB = """SHELL=/bin/sh
#minute\thour\tmday\tmonth\twday\twho\tcommand
*/5\t*\t*\t*\t*\toperator\t/usr/libexec/save-entropy
0\t*\t*\t*\t*\troot\tnewsyslog
@daily www-data /srv/clean
"""


def test_a_system_crontab_read_as_a_users_is_noticed_and_left_out() -> None:
    message = "left out: the file looks like a system crontab, with a user before the command; say --system, or --user if not"
    result = parse_crontab(SYSTEM_CRONTAB)
    assert result.jobs == []
    assert problems_of(result) == [(line, message, True) for line in (3, 4, 5)]
    # An entry of root's is enough, and so is the header.
    for text in ("0\t*\t*\t*\t*\troot\tnewsyslog\n", "# m h dom mon dow user\tcommand\n1 2 * * * www-data x\n"):
        assert [problem.message for problem in parse_crontab(text).problems] == [message]
    (job,) = parse_crontab("0 * * * * root newsyslog", system=False).jobs
    assert job["payload"]["command"] == "root newsyslog", "who says that it is a user's is believed"
    assert [job["payload"]["user"] for job in parse_crontab(SYSTEM_CRONTAB, system=True).jobs] == [
        "operator",
        "root",
        "www-data",
    ]


def test_a_users_crontab_read_as_a_systems_is_noticed() -> None:
    result = parse_crontab("0 5 * * * /usr/bin/backup --full\n", system=True)
    assert result.jobs == []
    assert "'/usr/bin/backup' is no user's name" in result.problems[0].message


def test_what_cron_does_with_variables_is_done_or_said() -> None:
    text = "PATH=$HOME/bin:/usr/bin\nRANDOM_DELAY=30\n@daily a\nRANDOM_DELAY=0\n@daily b\nSTART_HOURS_RANGE=3-22\n"
    result = parse_crontab(text)
    assert [job["trigger"].get("jitter") for job in result.jobs] == [1800.0, None]
    assert result.jobs[0]["payload"]["env"] == {"PATH": "$HOME/bin:/usr/bin"}
    assert [(problem.line, problem.fatal) for problem in result.problems] == [(1, False), (6, False)]
    assert "taken as it stands" in result.problems[0].message


def test_an_entry_may_be_written_in_every_dialect_of_cron() -> None:
    text = "@every 90m /srv/a b\nH 3 * * * c\n0~30 4 15W * ? d\n-5 0 * * * e\n@every_minute f\n"
    jobs = parse_crontab(text).jobs
    assert [job["payload"]["command"] for job in jobs] == ["/srv/a b", "c", "d", "e", "f"]
    assert jobs[0]["trigger"] == {"kind": "interval", "every": 5400.0}
    assert [job["trigger"].get("expression") for job in jobs[1:]] == [
        "H 3 * * *",
        "0~30 4 15W * ?",
        "5 0 * * *",
        "@every_minute",
    ]


def test_the_key_tells_a_command_whatever_its_times_are() -> None:
    def key(text: str, *, system: bool = False) -> str:
        return parse_crontab(text, system=system).jobs[0]["key"]

    assert key("1 1 * * * sync") == key("A=1\n# said\n@hourly sync")
    assert len({key("@daily sync"), key("@daily sync -a"), key("@daily sync%x"), key("@daily ann sync", system=True)}) == 4


def test_the_environment_holds_from_its_line_on() -> None:
    result = parse_crontab("@daily first\nA=1\nB = ' two '\n@daily second\nA=3\n\"C\"=x=y\n@daily third\n")
    assert [job["payload"]["env"] for job in result.jobs] == [
        {},
        {"A": "1", "B": " two "},
        {"A": "3", "B": " two ", "C": "x=y"},
    ]


def test_zones_hold_from_their_line_on_and_cron_tz_wins_over_tz() -> None:
    text = "@daily a\nTZ=Asia/Tokyo\n@daily b\nCRON_TZ=Europe/Paris\n@daily c\nTZ=UTC\n@daily d\n"
    result = parse_crontab(text, timezone="Europe/Berlin")
    assert [job["trigger"]["timezone"] for job in result.jobs] == [
        "Europe/Berlin",
        "Asia/Tokyo",
        "Europe/Paris",
        "Europe/Paris",
    ]
    assert [job["payload"]["env"].get("TZ") for job in result.jobs] == [None, "Asia/Tokyo", "Asia/Tokyo", "UTC"]
    assert [(problem.line, problem.fatal) for problem in result.problems] == [(2, False)]


def test_entries_in_an_unknown_zone_are_left_out_rather_than_run_at_the_wrong_time() -> None:
    result = parse_crontab("CRON_TZ=Europe/Berln\n@daily a\nCRON_TZ=Europe/Berlin\n@daily b\n")
    assert [job["name"] for job in result.jobs] == ["b"]
    assert [(problem.line, problem.fatal) for problem in result.problems] == [(1, True), (2, True)]
    assert "did you mean Europe/Berlin" in result.problems[0].message


def test_percent_signs_separate_the_input() -> None:
    def payload(command: str) -> tuple[str, str | None]:
        found = parse_crontab(f"@daily {command}").jobs[0]["payload"]
        return found["command"], found["stdin"]

    assert payload(r"date +\%Y\%m") == ("date +%Y%m", None)
    assert payload("cat%one%two") == ("cat", "one\ntwo\n")
    assert payload("cat%one%") == ("cat", "one\n")
    assert payload("cat%") == ("cat", None)
    assert payload(r"cat%50\% off") == ("cat", "50% off\n")
    # A backslash keeps its place before anything else, and an escaped one does not escape.
    assert payload(r"sed s/\\//\%") == (r"sed s/\\//%", None)
    assert payload(r"cat \\%x\y") == (r"cat \\", "x\\y\n")


def test_names_are_unique_and_do_not_depend_on_the_order() -> None:
    lines = ["0 1 * * * /opt/a/sync.sh", "0 2 * * * /opt/b/sync.sh", "0 3 * * * FOO=1 /bin/other < /dev/null"]
    names = {job["payload"]["command"]: job["name"] for job in parse_crontab("\n".join(lines)).jobs}
    turned = {job["payload"]["command"]: job["name"] for job in parse_crontab("\n".join(reversed(lines))).jobs}
    assert names == turned
    assert len(set(names.values())) == 3
    assert all(name.startswith(("sync-sh-", "other")) for name in names.values())
    # The same command at several times is several jobs; a number must not take another's name either.
    result = parse_crontab("0 1 * * * sync\n0 2 * * * sync 2\n0 3 * * * sync\n0 4 * * * sync\n")
    assert [job["name"] for job in result.jobs] == ["sync", "sync-2", "sync-3", "sync-4"]


def test_a_name_survives_a_change_of_schedule() -> None:
    assert parse_crontab("0 1 * * * /opt/sync.sh").jobs[0]["name"] == parse_crontab("5 9 * * 1 /opt/sync.sh").jobs[0]["name"]


def test_a_name_is_short_and_plain_whatever_the_command() -> None:
    for command in ("/", "> /dev/null", "7z a x", "[ -f x ] && y", "ünïcödé", "x" * 5000, "A=1 B=2", "'quo ted'", "|||"):
        (job,) = parse_crontab(f"@daily {command}").jobs
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,59}", job["name"])


def test_a_switched_off_entry_does_not_describe_the_next() -> None:
    (job,) = parse_crontab("# 0 5 * * * /old/thing\n#@daily older\n0 6 * * * new\n").jobs
    assert job["description"] == "From a crontab: every day at 06:00 UTC"


def test_control_characters_are_not_let_through() -> None:
    text = "A=\x00\n@daily rm\x08 x\n@daily \udc80\n@daily % x\n# \x1b[31m note\n@daily\tfine\there\n"
    result = parse_crontab(text)
    assert [(job["payload"]["command"], job["description"]) for job in result.jobs] == [("fine\there", " [31m note")]
    assert [(problem.line, problem.fatal) for problem in result.problems] == [(line, True) for line in (1, 2, 3, 4)]


def test_every_job_of_a_crontab_is_a_job_that_the_api_takes() -> None:
    text = USER_CRONTAB + "@daily 7z\n@daily cat%\u00fc\n# " + "x" * 5000 + "\n@daily " + "y" * 5000 + "\n"
    jobs = parse_crontab(text).jobs
    assert [define({name: value for name, value in job.items() if name != "key"}).name for job in jobs] == [
        job["name"] for job in jobs
    ]


def test_any_text_gives_a_result() -> None:
    for text in ("", "\n\n", "\ufeff@daily x\r\n", "nonsense", "* * * * *", "=", "@", "\0", "*" * 10_000, "é = 1"):
        result = parse_crontab(text)
        assert len(result.jobs) + len(result.problems) <= 1


def test_a_byte_order_mark_and_other_line_ends_do_not_matter() -> None:
    assert parse_crontab("\ufeff@daily x\r\n").jobs[0]["payload"]["command"] == "x"
