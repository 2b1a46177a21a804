from __future__ import annotations

from typing import Any

import pytest

from easynetwork.cli.demo.answers import AnswerChecker, Faults
from easynetwork.cli.demo.workload import Packet, PacketMaker

make_packet = PacketMaker("client 0", 20)


def faults_of(answers: list[Any], sent: int = 4, planned: int = 4) -> Faults:
    """The verdict on *answers* to *sent* packets."""
    checker = AnswerChecker(planned)
    for number in range(sent):
        checker.sending(make_packet(number), 0.0)
    for answer in answers:
        checker.answered(answer, 1.0)
    return checker.faults()


def packets(*numbers: int) -> list[Packet]:
    return [make_packet(number) for number in numbers]


def test_the_right_answers_are_no_fault() -> None:
    faults = faults_of(packets(0, 1, 2, 3))
    assert faults == Faults()
    assert not faults


@pytest.mark.parametrize("numbers", [(1, 2, 3), (0, 1, 2), (0, 2, 3)])
def test_a_packet_without_an_answer_is_lost_and_nothing_else(numbers: tuple[int, ...]) -> None:
    faults = faults_of(packets(*numbers))
    assert faults == Faults(lost=1)
    assert faults


def test_packets_that_could_not_be_sent_are_lost() -> None:
    assert faults_of(packets(0), sent=2, planned=4) == Faults(lost=3)


@pytest.mark.parametrize("numbers", [(0, 0, 1, 2, 3), (0, 1, 2, 0, 3), (0, 1, 2, 3, 3)])
def test_a_second_answer_is_doubled(numbers: tuple[int, ...]) -> None:
    assert faults_of(packets(*numbers)) == Faults(doubled=1)


@pytest.mark.parametrize(("numbers", "late"), [((1, 0, 2, 3), 1), ((3, 0, 1, 2), 3), ((3, 2, 1, 0), 3)])
def test_an_answer_after_that_to_a_later_packet_is_reordered(numbers: tuple[int, ...], late: int) -> None:
    assert faults_of(packets(*numbers)) == Faults(reordered=late)


@pytest.mark.parametrize(
    "alteration",
    [
        {"payload": make_packet(1)["payload"][:-1]},
        {"payload": make_packet(1)["payload"].swapcase()},
        {"payload": None},
        {"client": "client 1"},
        {"surplus": 1},
    ],
)
def test_an_answer_with_other_content_is_altered(alteration: dict[str, Any]) -> None:
    answers = packets(0, 1, 2, 3)
    answers[1].update(alteration)
    assert faults_of(answers) == Faults(altered=1)


@pytest.mark.parametrize("number", [4, -1, 1.0, True, "1", None, [1]])
def test_an_answer_to_a_packet_never_sent_is_altered_and_the_packet_lost(number: object) -> None:
    answers = packets(0, 1, 2, 3)
    answers[1]["number"] = number
    assert faults_of(answers) == Faults(altered=1, lost=1)


@pytest.mark.parametrize("answer", [None, [], "text", 7, {}])
def test_something_else_than_a_packet_is_altered(answer: object) -> None:
    assert faults_of([answer, *packets(0, 1, 2, 3)]) == Faults(altered=1)


def test_an_answer_that_could_not_be_decoded_is_altered() -> None:
    checker = AnswerChecker(0)
    checker.undecodable()
    assert checker.faults() == Faults(altered=1)


def test_an_answer_gives_the_time_since_its_packet_was_sent() -> None:
    checker = AnswerChecker(2)
    checker.sending(make_packet(0), 10.0)
    checker.sending(make_packet(1), 11.0)
    assert checker.answered(make_packet(0), 12.5) == 2.5
    assert checker.answered(make_packet(0), 13.0) is None
    assert checker.answered(make_packet(1), 13.0) == 2.0


def test_checking_is_complete_when_the_last_packet_is_answered() -> None:
    checker = AnswerChecker(2)
    for number in range(2):
        checker.sending(make_packet(number), 0.0)
        assert not checker.complete
        checker.answered(make_packet(number), 0.0)
    assert checker.complete


def test_faults_add_up() -> None:
    assert Faults(1, 2, 3, 4) + Faults(lost=10) == Faults(11, 2, 3, 4)
    assert str(Faults(1000, 2, 3, 4)) == "1,000 lost, 2 doubled, 3 altered, 4 reordered"
