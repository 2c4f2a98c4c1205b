"""Plants mistakes into the template and expects infra/check.py to see each."""

import unittest

from check import PARAMETERS, TEMPLATE, findings

TEXT = TEMPLATE.read_text(encoding="utf-8")


class Check(unittest.TestCase):
    def finds(self, right, wrong, expected):
        self.assertIn(right, TEXT, "the template no longer has what this test breaks")
        found = findings(TEXT.replace(right, wrong, 1), PARAMETERS[:1])
        self.assertTrue(any(expected in line for line in found), f"expected {expected!r} in {found}")

    def test_a_filter_pattern_needs_lists(self):
        self.finds('["INSERT"]', '"INSERT"', "eventName is not a list")

    def test_a_filter_pattern_is_json(self):
        self.finds('{"eventName":["INSERT"]}', "{eventName}", "is not JSON")

    def test_a_reference_must_not_come_back_to_itself(self):
        self.finds("WEBSOCKET_STAGE: live", "WEBSOCKET_STAGE: !GetAtt PushFunctionNewEvents.Id", "E3004")

    def test_a_policy_names_what_exists(self):
        self.finds("Resource: !GetAtt EventsTable.Arn", "Resource: !GetAtt EventTable.Arn", "EventTable")

    def test_a_route_leads_to_a_function_of_this_template(self):
        self.finds(
            "FunctionArn: !GetAtt MessageFunction.Arn",
            "FunctionArn: arn:aws:lambda:us-east-1:123456789012:function:other",
            "WebSocketApiDefaultRoute: leads to no function",
        )

    def test_a_path_does_not_end_with_a_slash(self):
        self.finds("Path: /v1/events", "Path: /v1/events/", "ends with a slash")

    def test_a_property_is_spelled_right(self):
        self.finds("MaximumRetryAttempts", "MaximumRetries", "MaximumRetries")

    def test_a_resource_property_is_spelled_right(self):
        self.finds("StreamViewType", "StreamView", "StreamView")

    def test_the_code_of_a_function_exists(self):
        self.finds("CodeUri: ../functions/push", "CodeUri: ../functions/pusher", "has no Cargo.toml")

    def test_the_binary_is_its_package(self):
        self.finds("Binary: push", "Binary: message", "Binary is message")


if __name__ == "__main__":
    unittest.main()
