from toolkit.faces.face import Box, Face, distinct


def at(x, y, side, score):
    return Face(Box(x, y, side, side), score)


def test_a_face_within_a_face_is_the_same():
    large, inner, beside = at(0, 0, 200, 0.7), at(100, 10, 90, 0.7), at(190, 0, 180, 0.6)
    assert distinct([large, inner, beside]) == [large, beside]
    assert distinct([large, at(20, 10, 190, 0.9)]) == [at(20, 10, 190, 0.9)]  # the surer stays


def test_two_of_one_size_may_overlap():
    left, right = at(0, 0, 100, 0.9), at(60, 10, 90, 0.9)
    assert distinct([right, left]) == [right, left]
