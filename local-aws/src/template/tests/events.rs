//! Events of queues and of schedules.

use super::super::{QueueMapping, Schedule, Scheduler};
use super::{function, parse};

fn queue_mapping(timeout: &str, more: &str) -> Result<QueueMapping, String> {
    let template = parse(&function(&format!(
        "      Timeout: {timeout}
      Events:
        Messages:
          Type: SQS
          Properties:
            Queue: !GetAtt Failures.Arn
{more}"
    )))?;
    Ok(template.queue_mappings[0].clone())
}

fn schedule(kind: &str, properties: &str) -> Result<Schedule, String> {
    let template = parse(&function(&format!(
        "      Events:
        Minutely:
          Type: {kind}
          Properties: {{{properties}}}"
    )))?;
    Ok(template.schedules[0].clone())
}

#[test]
fn a_queues_mapping_has_lambdas_defaults() {
    let mapping = queue_mapping("30", "").unwrap();
    assert_eq!((mapping.batch_size, mapping.window_seconds), (10, 0));
    assert_eq!(mapping.max_concurrency, None);
    assert!(mapping.is_enabled && !mapping.reports_batch_item_failures);
    assert_eq!(mapping.function, "Reader");
}

#[test]
fn a_queues_mapping_is_read_in_full() {
    let mapping = queue_mapping(
        "30",
        "            BatchSize: 100
            MaximumBatchingWindowInSeconds: 1
            ScalingConfig: {MaximumConcurrency: 50}
            FunctionResponseTypes: [ReportBatchItemFailures]
            MetricsConfig: {Metrics: [EventCount]}
            Enabled: false",
    )
    .unwrap();
    assert_eq!((mapping.batch_size, mapping.window_seconds), (100, 1));
    assert_eq!(mapping.max_concurrency, Some(50));
    assert!(!mapping.is_enabled && mapping.reports_batch_item_failures);
}

#[test]
fn a_queues_mapping_that_lambda_would_not_make_is_refused() {
    for (timeout, more, problem) in [
        ("31", "", "Queue visibility timeout: 30 seconds is less"),
        (
            "30",
            "            BatchSize: 11",
            "must be at least 1 when BatchSize",
        ),
        (
            "30",
            "            ScalingConfig: {MaximumConcurrency: 1}",
            "must be a number from 2 to 1000",
        ),
        (
            "30",
            "            FilterCriteria: {Filters: []}",
            "FilterCriteria is not understood",
        ),
        (
            "30",
            "            FunctionResponseTypes: [Other]",
            "Other is no response type",
        ),
    ] {
        let error = queue_mapping(timeout, more).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn both_kinds_of_schedule_are_read() {
    let rule = schedule("Schedule", "Schedule: rate(5 minutes), Enabled: false").unwrap();
    assert_eq!((rule.service, rule.period_seconds), (Scheduler::Rule, 300));
    assert!(!rule.is_enabled);
    let properties =
        "ScheduleExpression: rate(1 minute), RetryPolicy: {MaximumRetryAttempts: 0}, Input: '{}'";
    let schedule_v2 = schedule("ScheduleV2", properties).unwrap();
    assert_eq!(schedule_v2.service, Scheduler::Scheduler);
    assert_eq!(schedule_v2.name, "ReaderMinutely");
    assert_eq!(schedule_v2.input.as_deref(), Some("{}"));
    for (properties, problem) in [
        (
            "ScheduleExpression: cron(0 12 * * ? *)",
            "is not rate(number unit)",
        ),
        (
            "ScheduleExpression: rate(1 minute), Input: x",
            "must be JSON",
        ),
        (
            "ScheduleExpression: rate(1 minute), EndDate: x",
            "is not understood",
        ),
    ] {
        let error = schedule("ScheduleV2", properties).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_schedule_is_called_by_the_template_alone_unless_its_name_is_omitted() {
    let name = |more: &str| {
        let schedule = schedule(
            "ScheduleV2",
            &format!("ScheduleExpression: rate(1 minute){more}"),
        );
        schedule.map(|schedule| schedule.name)
    };
    let fixed = name("").unwrap();
    assert_eq!(name(", Name: mine").unwrap(), "mine");
    let omitted = name(", OmitName: true").unwrap();
    assert!(omitted.contains(&fixed) && omitted != fixed, "{omitted}");
    let error = name(", OmitName: true, Name: mine").unwrap_err();
    assert!(error.contains("cannot be set with OmitName"), "{error}");
}

#[test]
fn lambda_keeps_an_asynchronous_invocation_for_six_hours_unless_it_is_told() {
    let age = |more| parse(&function(more)).map(|template| template.functions[0].async_age_seconds);
    assert_eq!(age("").unwrap(), 6 * 60 * 60);
    let told = "      EventInvokeConfig: {MaximumEventAgeInSeconds: 60}";
    assert_eq!(age(told).unwrap(), 60);
    assert!(age("      EventInvokeConfig: {MaximumEventAgeInSeconds: 59}").is_err());
}

#[test]
fn a_function_may_be_part_of_a_recursive_loop_if_it_says_so() {
    let allows =
        |more| parse(&function(more)).map(|template| template.functions[0].allows_recursion);
    assert!(!allows("").unwrap());
    assert!(!allows("      RecursiveLoop: Terminate").unwrap());
    assert!(allows("      RecursiveLoop: Allow").unwrap());
    assert!(allows("      RecursiveLoop: allow").is_err());
}

#[test]
fn lambda_repeats_twice_unless_it_is_told() {
    let retries = |more| parse(&function(more)).unwrap().functions[0].async_retries;
    assert_eq!(retries(""), 2);
    assert_eq!(
        retries("      EventInvokeConfig: {MaximumRetryAttempts: 0}"),
        0
    );
}

#[test]
fn dead_letters_of_dead_letters_are_refused() {
    let error = parse(
        "Resources:
  A: {Type: AWS::SQS::Queue, Properties: {RedrivePolicy: {deadLetterTargetArn: !GetAtt B.Arn, maxReceiveCount: 2}}}
  B: {Type: AWS::SQS::Queue, Properties: {RedrivePolicy: {deadLetterTargetArn: !GetAtt C.Arn, maxReceiveCount: 2}}}
  C: {Type: AWS::SQS::Queue}",
    )
    .unwrap_err();
    assert!(error.contains("dead-letter queue of its own"), "{error}");
}
