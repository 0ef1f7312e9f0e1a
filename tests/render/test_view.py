"""Names in figures."""

from __future__ import annotations

from stallgate.render.view import figure_names

_LONG = "library::core::agent<library::reduce::Agent<"


def test_names_that_cutting_makes_alike_begin_where_they_differ() -> None:
    ends = [
        "arg_min<float>>> (grid 160x1x1, dynamic shared memory)",
        "arg_max<float>>> (grid 160x1x1, dynamic shared memory)",
    ]
    names = figure_names(["short", *(_LONG + "a" * 60 + end for end in ends)])
    assert names[0] == "short"
    assert "min<float>" in names[1]
    assert "max<float>" in names[2]
    assert all(len(name) <= 44 for name in names)


def test_no_two_rows_of_a_figure_have_one_name() -> None:
    names = [_LONG + one + "b" * 90 + other + "c" * 90 for one in "xy" for other in "xy"]
    assert len(set(figure_names(names))) == len(names)
    assert figure_names(["k", "k"]) == ["k (1)", "k (2)"]
