"""Deploys stacks to the emulator and reads their outputs and resources."""

import os
import subprocess

import boto3
from samcli.yamlhelper import yaml_parse

from local import ROOT, TOOLS


def session(account, region):
    """A session for an account and Region. ministack treats an access key of twelve digits as the account."""
    return boto3.Session(aws_access_key_id=account, aws_secret_access_key="made-up", region_name=region)


def deploy(name, parameters, config="default", aws=None, folder=ROOT):
    """Deploys with samconfig.toml, as an operator does."""
    command = [TOOLS / "sam", "deploy", "--config-env", config, "--stack-name", name, "--no-confirm-changeset"]
    command += ["--no-progressbar"]
    if parameters:
        command += ["--parameter-overrides", *(f'{key}="{value}"' for key, value in parameters.items())]
    env = dict(os.environ)
    if aws:
        env |= {"AWS_ACCESS_KEY_ID": aws.get_credentials().access_key, "AWS_REGION": aws.region_name}
        env |= {"AWS_DEFAULT_REGION": aws.region_name}
    done = subprocess.run(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"sam deploy failed\n{done.stdout}")


def outputs(name, aws=boto3):
    stack = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def resources(name, kind, aws=boto3):
    """The physical IDs of a stack's resources of a type, by logical ID."""
    found = aws.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found if r["ResourceType"] == kind}


def template(name):
    return yaml_parse(boto3.client("cloudformation").get_template(StackName=name)["TemplateBody"])


def point_at(name, standin):
    """Points the function's AWS clients at the stand-in."""
    awslambda, function = boto3.client("lambda"), outputs(name)["FunctionName"]
    variables = awslambda.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    endpoints = {f"AWS_ENDPOINT_URL_{service}": standin for service in ("ECS", "EC2", "STS")}
    awslambda.update_function_configuration(FunctionName=function, Environment={"Variables": variables | endpoints})
