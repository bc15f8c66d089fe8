"""What every engine promises of beats: the last one of each process, and its age."""

from tests.store.event_loop import Run

from postroom.store.shared.interface import Beat, Beats

NOW = 1_800_000_000.0


def test_the_latest_beat_of_each_process_is_known_until_it_is_too_old(beats: Beats, run: Run) -> None:
    """One beat for each word, host and pid: the last one with its age, in order, and none older than asked for."""
    run(beats.beat("policy", "mx1", 7, {"postroom_policy_requests_total": 1.0}, now=NOW))
    run(beats.beat("policy", "mx1", 7, {"postroom_policy_requests_total": 2.5}, now=NOW + 5))
    run(beats.beat("milter", "mx1", 8, {}, now=NOW + 4))
    run(beats.beat("policy", "mx1", 6, {}, now=NOW - 60))
    assert run(beats.recent(15, now=NOW + 5)) == [
        Beat("milter", "mx1", 8, NOW + 4, {}, 1.0),
        Beat("policy", "mx1", 7, NOW + 5, {"postroom_policy_requests_total": 2.5}, 0.0),
    ]
    assert len(run(beats.recent(65, now=NOW + 5))) == 3
    assert run(beats.recent(1, now=NOW + 6.001)) == []
