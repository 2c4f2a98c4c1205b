"""Plants mistakes into the template and expects infra/check.py to see each.

Of the ten that are made most often, these are found here: a wrong GetAtt, a circle, a wrong
filter, no partial batch response, a visibility shorter than the timeout, no route for HEAD, a
stream without images, and rights that only Lambda's poller misses. The others need to know what
the functions do: tests/it/mistakes.rs.
"""

import unittest

from check import EVERYTHING, PARAMETERS, TEMPLATE, check_security, findings, translate, yaml_parse

TEXT = TEMPLATE.read_text(encoding="utf-8")


class Mistakes(unittest.TestCase):
    def planted(self, right, wrong):
        self.assertIn(right, TEXT, "the template no longer has what this test breaks")
        return TEXT.replace(right, wrong, 1)

    def sees(self, expected, found):
        self.assertTrue(any(expected in line for line in found), f"expected {expected!r} in {found}")


class OurRules(Mistakes):
    """What infra/rules.py and infra/watching.py find, without the linter, which takes its time."""

    def finds(self, right, wrong, expected, parameters=PARAMETERS[0]):
        found = findings(self.planted(right, wrong), [parameters], linter=lambda _: [])
        self.sees(expected, found)

    def test_the_template_itself_has_none(self):
        self.assertEqual(findings(TEXT, PARAMETERS, linter=lambda _: []), [])

    # Code and routes.

    def test_the_code_of_a_function_exists(self):
        self.finds("CodeUri: ../functions/push", "CodeUri: ../functions/pusher", "has no Cargo.toml")

    def test_the_binary_is_its_package(self):
        self.finds("Binary: push", "Binary: message", "Binary is message")

    def test_a_path_does_not_end_with_a_slash(self):
        self.finds("Path: /healthz", "Path: /healthz/", "ends with a slash")

    def test_a_route_leads_to_a_function_of_this_template(self):
        self.finds(
            "FunctionArn: !GetAtt MessageFunction.Arn",
            "FunctionArn: arn:aws:lambda:us-east-1:123456789012:function:other",
            "WebSocketApiDefaultRoute: leads to no function",
        )

    def test_mandrill_may_ask_with_head(self):
        catch_all = "Webhook:\n          Type: HttpApi\n          Properties:\n            ApiId: !Ref HttpApi\n"
        post_only = catch_all + "            Method: POST\n            Path: /mandrill\n"
        self.finds(catch_all, post_only, "HEAD /mandrill does not reach WebhookFunction")

    def test_the_webhook_is_not_where_another_route_answers(self):
        self.finds("Path: /healthz", "Path: /readyz", "WebhookPath may be /readyz, where another route answers")

    def test_mandrills_address_may_end_with_a_slash(self):
        catch_all = "Webhook:\n          Type: HttpApi\n          Properties:\n            ApiId: !Ref HttpApi\n"
        any_method = catch_all + "            Method: ANY\n            Path: /mandrill\n"
        self.finds(catch_all, any_method, "POST /mandrill/ does not reach WebhookFunction")

    # Functions with a URL of their own.

    def test_who_waits_behind_a_url_has_a_bound(self):
        self.finds(
            "      ReservedConcurrentExecutions: !Ref TailConcurrency\n",
            "",
            "TailFunctionUrl: TailFunction has no ReservedConcurrentExecutions",
        )

    def test_anybody_may_call_a_url(self):
        self.finds(
            "        AuthType: NONE\n",
            "        AuthType: AWS_IAM\n",
            "TailFunctionUrl: nobody has the permission lambda:InvokeFunction on TailFunction",
        )

    def test_a_url_streams(self):
        self.finds("InvokeMode: RESPONSE_STREAM", "InvokeMode: BUFFERED", "InvokeMode is not RESPONSE_STREAM")

    # Streams and queues.

    def test_a_filter_pattern_needs_lists(self):
        self.finds('["INSERT"]', '"INSERT"', "eventName is not a list")

    def test_a_filter_pattern_is_json(self):
        self.finds('{"eventName":["INSERT"],', "{eventName,", "is not JSON")

    def test_a_mapping_heeds_which_records_failed(self):
        self.finds("FunctionResponseTypes: [ReportBatchItemFailures]", "Enabled: true", "no ReportBatchItemFailures")

    def test_a_stream_carries_what_its_reader_reads(self):
        for view in ("KEYS_ONLY", "OLD_IMAGE"):
            self.finds("StreamViewType: NEW_IMAGE", f"StreamViewType: {view}", f"carries {view}, and no new images")

    def test_a_record_does_not_fail_for_ever(self):
        self.finds("            MaximumRetryAttempts: 10000\n", "", "MaximumRetryAttempts has no bound")

    def test_records_that_are_given_up_are_kept(self):
        self.finds(
            "DestinationConfig:\n              OnFailure:\n                Type: S3\n"
            "                Destination: !GetAtt FailuresBucket.Arn\n",
            "Enabled: true\n",
            "records that are given up go nowhere",
        )

    def test_the_poller_may_keep_what_is_given_up(self):
        self.finds("                Type: S3\n", "", "PushFunction has no right to s3:PutObject on FailuresBucket")

    def with_queue(self, visibility, redrive="RedrivePolicy: {}"):
        """The template has no queue that feeds a function, so one is added to a copy of it."""
        event = f"""      Events:
        Work:
          Type: SQS
          Properties:
            Queue: !GetAtt WorkQueue.Arn
            FunctionResponseTypes: [ReportBatchItemFailures]
        NewEvents:"""
        queue = f"""Resources:
  WorkQueue:
    Type: AWS::SQS::Queue
    Properties: {{ VisibilityTimeout: {visibility}, {redrive} }}
"""
        text = self.planted("      Events:\n        NewEvents:", event)
        return findings(text.replace("Resources:\n", queue, 1), PARAMETERS[:1], linter=lambda _: [])

    def test_a_message_stays_hidden_while_it_is_worked_on(self):
        expected = "WorkQueue.VisibilityTimeout is {}, under 6 x Timeout: 360"
        for visibility in (30, 59, 359):
            self.sees(expected.format(visibility), self.with_queue(visibility))
        self.assertEqual(self.with_queue(360), [])

    def test_a_bad_message_does_not_come_for_ever(self):
        self.sees("WorkQueue has no RedrivePolicy", self.with_queue(360, "DelaySeconds: 0"))

    # What is seen only on AWS: loops, and second stacks.

    def test_scheduled_invocations_do_not_pile_up(self):
        self.finds(
            "EventInvokeConfig: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 }",
            "EventInvokeConfig: { MaximumRetryAttempts: 0 }",
            "RequeueFunction: is invoked by a schedule, and MaximumEventAgeInSeconds has no bound",
        )

    def test_a_function_that_invokes_itself_says_so(self):
        expected = "DeliverFunction: its messages invoke it again, and RecursiveLoop is not Allow"
        self.finds("      RecursiveLoop: Allow\n", "", expected)
        self.finds("RecursiveLoop: Allow", "RecursiveLoop: Terminate", expected)

    def test_functions_that_invoke_each_other_say_so(self):
        event = """      Events:
        Deliveries:
          Type: SQS
          Properties: { Queue: !GetAtt DeliveriesQueue.Arn, FunctionResponseTypes: [ReportBatchItemFailures] }
        EachMinute:"""
        text = self.planted("      Events:\n        EachMinute:", event)
        found = findings(text, PARAMETERS[:1], linter=lambda _: [])
        self.sees("RequeueFunction: its messages invoke it again", found)

    def test_a_second_stack_can_have_every_name(self):
        second = "and a second stack cannot have it"
        self.finds("            OmitName: true\n", "", f'Name is "RequeueFunctionEachMinute", {second}')
        self.finds("Name: !Sub ${AWS::StackName}-live", "Name: posthorn-live", f'Name is "posthorn-live", {second}')
        code = "      CodeUri: ../functions/push\n"
        self.finds(code, f"{code}      FunctionName: push\n", second)
        self.finds("      VisibilityTimeout: 240\n", "      VisibilityTimeout: 240\n      QueueName: work\n", second)
        self.finds(
            "      VisibilityTimeout: 240\n",
            "      VisibilityTimeout: 240\n      QueueName: !Sub work-${AWS::Region}\n",
            second,
        )
        self.finds("    Value: !Ref AlarmTopic", "    Value: !Ref AlarmTopic\n    Export: { Name: topic }", second)
        everything = ("Name: !Sub ${AWS::StackName}-${AWS::Region}", "Name: posthorn", second, EVERYTHING)
        self.finds(*everything)

    # Alarms and the dashboard.

    def test_an_alarm_watches_a_metric_that_is_reported(self):
        self.finds("MetricName: IteratorAge", "MetricName: IteratorAges", "AWS/Lambda IteratorAges")
        self.finds("MetricName: EventsRefused", "MetricName: EventRefused", "Posthorn EventRefused")
        self.finds("MetricName: 5xx", "MetricName: 5XXError", "AWS/ApiGateway 5XXError")

    def test_an_alarm_names_all_dimensions(self):
        self.finds(
            "MetricName: SystemErrors, Dimensions: [{ Name: TableName, Value: !Ref EventsTable },",
            "MetricName: SystemErrors, Dimensions: [",
            "SystemErrors is not reported by Operation",
        )

    def test_an_alarm_watches_a_resource_of_this_template(self):
        self.finds(
            "Dimensions: [{ Name: FunctionName, Value: !Ref PushFunction }]\n      Statistic: Maximum",
            "Dimensions: [{ Name: FunctionName, Value: push }]\n      Statistic: Maximum",
            "PushLateAlarm: FunctionName push",
        )

    def test_an_alarm_watches_a_code_that_requests_are_refused_with(self):
        self.finds("Value: bad_signature", "Value: bad_signatur", "SignaturesRefusedAlarm: code bad_signatur")

    def test_an_alarm_watches_the_right_kind_of_api(self):
        self.finds(
            "MetricName: ExecutionError\n      Dimensions: [{ Name: ApiId, Value: !Ref WebSocketApi }]",
            "MetricName: ExecutionError\n      Dimensions: [{ Name: ApiId, Value: !Ref HttpApi }]",
            "WebSocketErrorsAlarm: ApiId",
        )

    def test_an_alarm_watches_an_index_that_is_there(self):
        self.finds(
            "{ Name: GlobalSecondaryIndexName, Value: feed }",
            "{ Name: GlobalSecondaryIndexName, Value: feeds }",
            "TableThrottlesAlarm: GlobalSecondaryIndexName feeds",
        )

    def test_a_mapping_reports_what_an_alarm_watches(self):
        self.finds("Metrics: [EventCount]", "Metrics: []", "needs MetricsConfig with EventCount")

    def test_every_function_is_watched(self):
        self.finds(
            "MetricName: Errors, Dimensions: [{ Name: FunctionName, Value: !Ref ConnectFunction }]",
            "MetricName: Errors, Dimensions: [{ Name: FunctionName, Value: !Ref ApiFunction }]",
            "ConnectFunction: no alarm watches its Errors",
        )

    def test_an_alarm_has_no_more_metrics_than_cloudwatch_takes(self):
        metric = (
            "        - Id: {}\n          ReturnData: false\n          MetricStat: {{ Stat: Sum, Period: 300, Metric: "
            "{{ Namespace: AWS/Lambda, MetricName: Errors, "
            "Dimensions: [{{ Name: FunctionName, Value: !Ref WebhookFunction }}] }} }}\n"
        )
        right = metric.format("webhook")
        two = metric.format("again") + metric.format("oncemore")
        self.finds(right, right + two, "FunctionErrorsAlarm: has 11 metrics, and CloudWatch takes 10")

    def test_an_alarm_tells_somebody(self):
        self.finds("AlarmActions: [!Ref AlarmTopic]", "AlarmActions: []", "FunctionErrorsAlarm: tells nobody")

    def test_an_alarm_is_in_the_handbook(self):
        self.finds("  PushLateAlarm:", "  PushTooLateAlarm:", "docs/OPERATIONS.md has no section of this name")
        self.finds("docs/OPERATIONS.md, QuietAlarm.", "", "does not lead to docs/OPERATIONS.md", EVERYTHING)

    def test_the_dashboard_shows_metrics_that_are_reported(self):
        self.finds('"MessagesPushed", "stack"', '"MessagePushed", "stack"', "Posthorn MessagePushed")
        self.finds('MetricName=\\"EventsReceived\\"', 'MetricName=\\"Events\\"', "Posthorn Events by stack,type")
        self.finds('"Count", "ApiId", "${HttpApi}"', '"Count", "ApiId", "${WebSocketApi}"', "HTTP API: ApiId")

    # The page.

    def test_the_page_is_as_safe_from_cloudfront_as_it_says(self):
        self.finds("script-src 'self';", "script-src *;", "script-src is not as the page needs it", EVERYTHING)
        self.finds("'self' ${Socket}", "'self' wss:", "connect-src is not as the page needs it", EVERYTHING)

    def test_a_policy_of_cloudfront_has_an_id_that_exists(self):
        self.finds("-68738e2966ac", "-738e2966ac67", "is no policy of CloudFront's", EVERYTHING)


class Linters(Mistakes):
    """What the linters find in the translated template."""

    def finds(self, right, wrong, expected):
        self.sees(expected, findings(self.planted(right, wrong), PARAMETERS[:1]))

    def test_a_reference_must_not_come_back_to_itself(self):
        self.finds("WEBSOCKET_STAGE: live", "WEBSOCKET_STAGE: !GetAtt PushFunctionNewEvents.Id", "E3004")

    def test_a_policy_names_what_exists(self):
        self.finds("Resource: !GetAtt EventsTable.Arn", "Resource: !GetAtt EventTable.Arn", "EventTable")

    def test_an_attribute_exists(self):
        self.finds("Stream: !GetAtt EventsTable.StreamArn", "Stream: !GetAtt EventsTable.Stream", "E1010")

    def test_a_property_is_spelled_right(self):
        self.finds("MaximumRetryAttempts: 10000", "MaximumRetries: 10000", "MaximumRetries")

    def test_a_resource_property_is_spelled_right(self):
        self.finds("StreamViewType", "StreamView", "StreamView")

    def test_a_bucket_is_not_open_to_everybody(self):
        text = self.planted("RestrictPublicBuckets: true", "RestrictPublicBuckets: false")
        self.sees("FailuresBucket: CKV_AWS_56", check_security(translate(yaml_parse(text), {})))


if __name__ == "__main__":
    unittest.main()
