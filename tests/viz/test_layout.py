"""Laws of the layered layout, on generated graphs."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from tinyflow.viz.layout import layered


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 14))
    size = st.tuples(st.integers(20, 200), st.integers(20, 80))
    sizes = [tuple(map(float, draw(size))) for _ in range(count)]
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=24)) if pairs else []
    return sizes, edges


def _frame(size, centre):
    (w, h), (x, y) = size, centre
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_boxes_never_overlap_and_lie_inside_the_picture(case):
    sizes, edges = case
    layout = layered(sizes, edges)
    frames = [_frame(s, c) for s, c in zip(sizes, layout.centres)]
    for left, top, right, bottom in frames:
        assert left >= -1e-6 and right <= layout.width + 1e-6
        assert top >= -1e-6 and bottom <= layout.height + 1e-6
    for a, b in itertools.combinations(frames, 2):
        apart = a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
        assert apart


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_edges_run_downwards_from_box_to_box_and_beside_others(case):
    sizes, edges = case
    layout = layered(sizes, edges)
    frames = [_frame(s, c) for s, c in zip(sizes, layout.centres)]
    for (source, target), route in zip(edges, layout.routes):
        heights = [y for _, y in route]
        assert heights == sorted(heights)
        assert abs(route[0][1] - frames[source][3]) < 1e-6
        assert abs(route[-1][1] - frames[target][1]) < 1e-6
        assert frames[target][0] < route[-1][0] < frames[target][2]
        for (x, top), (same, bottom) in zip(route[1:-1:2], route[2:-1:2]):
            assert x == same  # crosses a rank straight
            for left, upper, right, lower in frames:
                assert not (left < x < right and upper < bottom and top < lower)


@settings(max_examples=20, deadline=None)
@given(graphs())
def test_the_same_graph_gives_the_same_picture(case):
    assert layered(*case) == layered(*case)


def test_nothing_to_draw():
    layout = layered([], [])
    assert layout.width == layout.height == 0


def test_a_tree_has_no_crossings():
    # two children of box 0 with two children each, listed in an order that crosses
    edges = [(0, 1), (0, 2), (1, 3), (2, 4), (1, 5), (2, 6)]
    layout = layered([(30.0, 20.0)] * 7, edges)
    x = [centre[0] for centre in layout.centres]
    left, right = sorted((1, 2), key=lambda v: x[v])
    children = {1: (3, 5), 2: (4, 6)}
    assert max(x[c] for c in children[left]) < min(x[c] for c in children[right])


def test_an_edge_across_many_ranks_is_straight_when_nothing_is_in_the_way():
    edges = [(i, i + 1) for i in range(8)] + [(0, 8)]
    layout = layered([(50.0, 20.0)] * 9, edges)
    assert len({round(x, 6) for x, _ in layout.routes[-1][1:-1]}) == 1
    assert len({round(x, 6) for x, _ in layout.centres[1:-1]}) == 1  # and so is the chain


def test_edges_of_one_source_share_their_way():
    edges = [(i, i + 1) for i in range(8)] + [(0, 6), (0, 8)]
    layout = layered([(50.0, 20.0)] * 9, edges)
    short, long = layout.routes[-2], layout.routes[-1]
    assert short[:-1] == long[: len(short) - 1]


def test_leaves_stand_near_what_they_feed_along_a_straight_chain():
    edges = [(0, 1)]
    for i in range(8):  # leaf 2 + 2i and link 3 + 2i of the chain
        edges += [(1 + 2 * i, 3 + 2 * i), (2 + 2 * i, 3 + 2 * i)]
    layout = layered([(50.0, 20.0)] * 18, edges)
    far = [abs(layout.centres[a][0] - layout.centres[a + 1][0]) for a in range(2, 18, 2)]
    assert max(far) < 2 * 76  # a box and a gap each
