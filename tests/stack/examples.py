"""Deploys the examples to a local AWS emulator, and runs the state machine for every way in which a task can end.

    python tests/stack/examples.py

The emulator (ministack, extended by emulator.py) has the resources, but neither instances nor interruptions.
"""

import json
import os
from contextlib import ExitStack

import boto3
from samcli.yamlhelper import yaml_parse

from deploy import start_emulator
from deployment import outputs
from local import ACCOUNT, REGION, ROOT, Checks, end_with_the_script, environment, scratch
from state_machine import MOCKS, check_state_machine

IMAGE = "/aws/service/example/image_id"


def main():
    end_with_the_script()
    checks = Checks()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        mocks = folder / "mocks.json"
        mocks.write_text(json.dumps(MOCKS))
        # The state machine waits for a thousandth of its seconds.
        endpoint = start_emulator(stack, folder, {"SFN_MOCK_CONFIG": str(mocks), "SFN_WAIT_SCALE": "0.001"})
        os.environ.clear()
        os.environ.update(environment(endpoint))
        boto3.client("ssm").put_parameter(Name=IMAGE, Type="String", Value="ami-0123456789abcdef0")

        checks.heading("examples/ecs")
        deploy(checks, "ecs", network() | {"ImageId": IMAGE})
        check_interruption(checks, "ecs", "Instances")
        check_logs(checks)

        checks.heading("examples/eks")
        for role in "", f"arn:aws:iam::{ACCOUNT}:role/spot-interruption-handler-FunctionRole-EXAMPLE":
            deploy(checks, "eks", eks_parameters(role), "with the function" if role else "without it")
        check_interruption(checks, "eks", "Nodes")

        checks.heading("examples/step-functions")
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
        deploy(
            checks,
            "step-functions",
            {"ClusterArn": f"{arn}:cluster/jobs", "TaskDefinitionArn": f"{arn}:task-definition/report:1"},
        )
        check_state_machine(checks, outputs("step-functions")["StateMachineArn"])
    checks.done()


def network():
    ec2 = boto3.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    return {"VpcId": vpc, "SubnetIds": ",".join(subnet["SubnetId"] for subnet in subnets)}


def eks_parameters(role):
    return {
        "ClusterName": "web",
        "ApiServerEndpoint": "https://EXAMPLE.gr7.us-east-2.eks.amazonaws.com",
        "CertificateAuthority": "RVhBTVBMRQ==",
        "ServiceCidr": "10.100.0.0/16",
        "ClusterSecurityGroupId": "sg-0123456789abcdef0",
        "SubnetIds": network()["SubnetIds"],
        "FunctionRoleArn": role,
        "ImageId": IMAGE,
    }


def body(example):
    return (ROOT / "examples" / example / "template.yaml").read_text()


def deploy(checks, example, parameters, what=""):
    """Creates a stack, checks that it has every resource, and deletes it first if there is one."""
    cloudformation = boto3.client("cloudformation")
    if example in [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]]:
        cloudformation.delete_stack(StackName=example)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=example, WaiterConfig={"Delay": 1})
    cloudformation.create_stack(
        StackName=example,
        TemplateBody=body(example),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=example, WaiterConfig={"Delay": 1})
    found = cloudformation.describe_stack_resources(StackName=example)["StackResources"]
    wanted = yaml_parse(body(example))["Resources"]
    # A resource of the examples has a condition only if a parameter is empty otherwise.
    expected = {name for name in wanted if "Condition" not in wanted[name] or all(parameters.values())}
    created = {resource["LogicalResourceId"] for resource in found}
    checks.same(f"missing or other resources {what}".strip(), [], sorted(expected ^ created))


def check_interruption(checks, example, group):
    """The experiment and its role find the instances of the group, by the same tag."""
    resources = yaml_parse(body(example))["Resources"]
    instances, experiment, role = (
        resources[name]["Properties"] for name in (group, "Interruption", "InterruptionRole")
    )
    tags = [{tag["Key"]: tag["Value"]} for tag in instances["Tags"] if isinstance(tag["Key"], str)]
    target = experiment["Targets"]["instance"]["ResourceTags"]
    checks.same("the target's tag is one of the instances'", True, target in tags)
    send, _ = role["Policies"][0]["PolicyDocument"]["Statement"]
    condition = {f"aws:ResourceTag/{key}": value for key, value in target.items()}
    checks.same("only these may be interrupted", condition, send["Condition"]["StringEquals"])


def check_logs(checks):
    ecs, name = boto3.client("ecs"), outputs("ecs")["LogGroupName"]
    for family in "ecs-web", "ecs-job":
        [container] = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]["containerDefinitions"]
        checks.same(f"log group of {family}", name, container["logConfiguration"]["options"]["awslogs-group"])
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    checks.same("log groups", [name], [group["logGroupName"] for group in groups])


if __name__ == "__main__":
    main()
