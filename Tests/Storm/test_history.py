import unittest

from history import History


class HistoryTests(unittest.TestCase):
    def check(self, *events):
        history = History()
        for event in events:
            history.add("m", *event)
        return history.broken()

    def test_a_store_that_remembers(self):
        self.assertEqual(self.check((0, 1, 202, "a"), (2, 3, 202, "a"), (4, 5, 503, None)), ([], []))

    def test_a_store_that_forgets_what_was_accepted(self):
        self.assertEqual(self.check((0, 1, 202, "a"), (2, 3, 202, "b")), (["m"], []))

    def test_an_acceptance_that_becomes_unknown(self):
        self.assertEqual(self.check((0, 1, 202, "a"), (2, 3, 504, None)), ([], ["m"]))

    def test_what_began_before_the_202_was_known_may_say_anything(self):
        self.assertEqual(self.check((0, 2, 202, "a"), (1, 3, 504, None)), ([], []))

    def test_an_acceptance_that_was_not_confirmed_may_be_lost_with_its_process(self):
        self.assertEqual(self.check((0, 1, 202, "a", True), (2, 3, 504, None)), ([], []))
        self.assertEqual(self.check((0, 1, 202, "a", True), (2, 3, 202, "receipt")), ([], []))

    def test_but_is_not_sent_again(self):
        self.assertEqual(self.check((0, 1, 202, "a", True), (2, 3, 202, "b")), (["m"], []))

    def test_once_confirmed_it_stays(self):
        self.assertEqual(self.check((0, 1, 202, "a", True), (2, 3, 202, "a"), (4, 5, 504, None)), ([], ["m"]))
        self.assertEqual(self.check((0, 1, 202, "a"), (2, 3, 202, "receipt")), (["m"], []))

    def test_what_only_the_skill_knows_gets_its_request_id_later(self):
        self.assertEqual(self.check((0, 1, 202, "receipt"), (2, 3, 202, "a")), ([], []))
        self.assertEqual(self.check((0, 1, 202, "receipt"), (2, 3, 504, None)), ([], ["m"]))

    def test_a_late_acceptance(self):
        self.assertEqual(self.check((0, 1, 504, None), (2, 3, 202, "a"), (4, 5, 202, "a")), ([], []))


if __name__ == "__main__":
    unittest.main()
