"""Runs the state machine of examples/step-functions in the emulator, for every way in which a task can end.

The emulator does not run tasks. It answers for them with `MOCKS`, in the format of Step Functions Local.
"""

import json
import time

import boto3

from local import ACCOUNT, REGION, ROOT

NAME = "judged"


def ended(stop_code, reason, exit_code=None):
    """A task that has ended, as Step Functions passes it on."""
    container = {"Name": "report"} | ({} if exit_code is None else {"ExitCode": exit_code})
    task = {"Containers": [container], "StartedBy": "AWS Step Functions", "StoppedReason": reason}
    return task | ({"StopCode": stop_code} if stop_code else {})


def failure(cause, error="States.TaskFailed"):
    return {"Throw": {"Error": error, "Cause": json.dumps(cause, separators=(",", ":"))}}


EXITED = "Essential container in task exited"
DONE = {"Return": ended("EssentialContainerExited", EXITED, 0)}
BUG = failure(ended("EssentialContainerExited", EXITED, 1))
SIMILAR = failure(ended("EssentialContainerExited", f"{EXITED}: Host EC2, SpotInterruption, Spot interruption", 1))
FARGATE_SPOT = failure(ended("SpotInterruption", "Your Spot Task was interrupted.", 143))
TERMINATION = failure(ended("TerminationNotice", "", 143))
NO_STOP_CODE = failure(ended(None, "Your Spot Task was interrupted.", 137))
EVACUATED = failure(
    ended("UserInitiated", "EC2 Spot interruption: i-1234567890abcdef0 is terminated at 2026-11-24T08:02:00Z", 1)
)
HOST_GONE = failure(ended(None, "Host EC2 (instance i-1234567890abcdef0) terminated."))
DEREGISTERED = failure(ended(None, "Container instance deregistration forced by user"))
NO_ROOM = failure(
    {
        "Failures": [{"Arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/jobs/0", "Reason": "RESOURCE:MEMORY"}],
        "Tasks": [],
    },
    "AmazonECS.Unknown",
)

# How the task ends each time that it runs, and how the execution ends.
CASES = {
    "succeeds": ([DONE], "SUCCEEDED"),
    "fails": ([BUG], "FAILED"),
    "fails-with-similar-words": ([SIMILAR], "FAILED"),
    "has-no-room-at-first": ([NO_ROOM], "FAILED"),
    "fargate-spot": ([FARGATE_SPOT, DONE], "SUCCEEDED"),
    "fargate-spot-termination-notice": ([TERMINATION, DONE], "SUCCEEDED"),
    "fargate-spot-without-stop-code": ([NO_STOP_CODE, DONE], "SUCCEEDED"),
    "evacuated": ([EVACUATED, DONE], "SUCCEEDED"),
    "instance-is-gone": ([HOST_GONE, DONE], "SUCCEEDED"),
    "instance-was-deregistered": ([DEREGISTERED, DONE], "SUCCEEDED"),
    "no-room-after-an-interruption": ([EVACUATED, NO_ROOM, NO_ROOM, DONE], "SUCCEEDED"),
    "fails-after-an-interruption": ([EVACUATED, BUG], "FAILED"),
    "is-always-interrupted": ([FARGATE_SPOT] * 6, "FAILED"),
}
MOCKS = {
    "StateMachines": {NAME: {"TestCases": {case: {"Run": case} for case in CASES}}},
    "MockedResponses": {
        case: {str(number): end for number, end in enumerate(ends)} for case, (ends, _) in CASES.items()
    },
}


def check_state_machine(checks, arn):
    source = (ROOT / "src/interrupted_task.rs").read_text()
    checks.same("reason of an evacuation", True, 'EVACUATION_REASON: &str = "EC2 Spot interruption: "' in source)
    states = boto3.client("stepfunctions")
    # The stack's state machine has a name that the emulator makes up; the mocks need one that is known.
    deployed = states.describe_state_machine(stateMachineArn=arn)
    copy = states.create_state_machine(name=NAME, definition=deployed["definition"], roleArn=deployed["roleArn"])
    for case, (ends, status) in CASES.items():
        doubled = [15 * 2**number for number in range(len(ends) - 1)]
        checks.same(case, [status, len(ends), doubled], run(states, f"{copy['stateMachineArn']}#{case}"))


def run(states, arn):
    """The status of an execution, how often it ran the task, and the seconds that it waited in between."""
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    deadline = time.monotonic() + 30
    while (status := states.describe_execution(executionArn=execution)["status"]) == "RUNNING":
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    events = states.get_execution_history(executionArn=execution, maxResults=1000)["events"]
    entered = [event["stateEnteredEventDetails"] for event in events if "stateEnteredEventDetails" in event]
    runs = [state for state in entered if state["name"] == "Run"]
    waits = [json.loads(state["input"])["waitSeconds"] for state in entered if state["name"] == "BackOff"]
    return [status, len(runs), waits]
