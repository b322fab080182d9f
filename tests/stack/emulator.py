"""Runs ministack, extended by features that these stacks use.

- AWS::Events::EventBusPolicy: stored where PutPermission stores a policy, so that DescribeEventBus returns it.
- Resource types that ministack does not know, such as AWS::Logs::QueryDefinition: accepted and ignored.
- StartMessageMoveTask: moves all visible messages from a dead-letter queue to the named queue at once.
- Conditions with pseudo parameters and Fn::Select: evaluated as in resources. ministack alone compares the name of a
  pseudo parameter instead of its value.
"""

import sys
import time

from ministack import app
from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge, sqs
from ministack.services.cloudformation import engine, provisioners

IGNORED = [
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EKS::AccessEntry",
    "AWS::FIS::ExperimentTemplate",
    "AWS::Logs::QueryDefinition",
]

evaluate_conditions = engine._evaluate_conditions


def put_bus_policy(logical_id, properties, stack_name):
    bus, sid = properties["EventBusName"], properties["StatementId"]
    policies = eventbridge._event_bus_policies
    statements = policies.get(bus, {"Statement": []})["Statement"]
    kept = [statement for statement in statements if statement["Sid"] != sid]
    policies[bus] = {"Version": "2012-10-17", "Statement": [*kept, {"Sid": sid} | properties["Statement"]]}
    return f"{bus}|{sid}", {}


def delete_bus_policy(physical_id, properties):
    eventbridge._remove_permission({key: properties[key] for key in ("EventBusName", "StatementId")})


def accept(logical_id, properties, stack_name):
    return f"{stack_name}-{logical_id}", {}


def start_message_move_task(request, _url):
    source, destination = request["SourceArn"], sqs._queue_by_arn(request["DestinationArn"])
    policies = [queue["attributes"].get("RedrivePolicy", "") for queue in sqs._queues.values()]
    if not any(f'"{source}"' in policy for policy in policies):
        raise sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    with sqs._queues_lock:
        messages, now = sqs._queue_by_arn(source)["messages"], time.time()
        waiting = [message for message in messages if message["visible_at"] <= now]
        messages[:] = [message for message in messages if message["visible_at"] > now]
        new = {"receive_count": 0, "receipt_handle": None, "first_receive_at": None, "visible_at": now}
        destination["messages"] += [message | new for message in waiting]
    return {"TaskHandle": source}


def conditions(template, parameters):
    pseudo = {"AWS::AccountId": get_account_id(), "AWS::Region": get_region(), "AWS::Partition": "aws"}
    parameters = parameters | {name: {"Value": value} for name, value in pseudo.items()}

    def selected(value):
        if isinstance(value, list):
            return [selected(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "Fn::Select" in value:
            return engine._resolve_refs(value, {}, parameters, {}, {}, "", "")
        return {key: selected(item) for key, item in value.items()}

    return evaluate_conditions(template | {"Conditions": selected(template.get("Conditions", {}))}, parameters)


provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {"create": put_bus_policy, "delete": delete_bus_policy}
for kind in IGNORED:
    provisioners._RESOURCE_HANDLERS[kind] = {"create": accept, "delete": lambda *_: None}
sqs._HANDLERS["StartMessageMoveTask"] = start_message_move_task
for name, module in list(sys.modules.items()):
    if name.startswith("ministack.") and getattr(module, "_evaluate_conditions", None) is evaluate_conditions:
        module._evaluate_conditions = conditions

if __name__ == "__main__":
    app.main()
