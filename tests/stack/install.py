"""Packs the built function, and installs the package in a local AWS emulator in the ways of docs/install.md.

    sam build && python tests/stack/install.py

The AWS CLI and Terraform themselves do not run: boto3 makes the calls that they make.
"""

import os
import re
import subprocess
import sys
import zipfile
from contextlib import ExitStack

import boto3
import hcl2
from samcli.yamlhelper import yaml_parse

from deploy import start_emulator
from deployment import deploy, outputs
from local import ROOT, TOOLS, Checks, end_with_the_script, environment, scratch

sys.path.insert(0, str(ROOT / ".ci"))
import package

ARCHITECTURE = "x86_64"
# The arguments of aws_cloudformation_stack in version 6.25.0 of Terraform's AWS provider.
ARGUMENTS = {
    "capabilities", "disable_rollback", "iam_role_arn", "name", "notification_arns", "on_failure", "parameters",
    "policy_body", "policy_url", "region", "tags", "template_body", "template_url", "timeout_in_minutes", "timeouts",
}  # fmt: skip


def main():
    end_with_the_script()
    checks = Checks()
    guide = (ROOT / "docs/install.md").read_text()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        endpoint = start_emulator(stack, folder)
        os.environ.clear()
        os.environ.update(environment(endpoint))
        unpacked = check_package(checks, folder)
        parameters = check_guide(checks, guide, (unpacked / "template.yaml").read_text())

        checks.heading("SAM")
        deploy("by-sam", parameters, folder=unpacked)
        check_stack(checks, "by-sam", parameters)

        checks.heading("CloudFormation")
        url = upload(unpacked)
        change("by-cloudformation", url, parameters)
        check_stack(checks, "by-cloudformation", parameters)

        checks.heading("Terraform")
        create("by-terraform", url, guide)
        check_stack(checks, "by-terraform", parameters)
    checks.done()


def check_package(checks, folder):
    checks.heading("the package")
    binary = package.BINARY.read_bytes()
    first, second = (package.pack(ARCHITECTURE, binary, folder / name) for name in ("first", "second"))
    checks.same("same files, same bytes", True, first.read_bytes() == second.read_bytes())
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(first) as packed:
        packed.extractall(unpacked)
    with zipfile.ZipFile(unpacked / "function.zip") as function:
        [entry] = function.infolist()
        checks.same("the function's zip", ["bootstrap", "0o755"], [entry.filename, oct(entry.external_attr >> 16)])
        checks.same("the built function", True, function.read(entry) == binary)

    metadata = yaml_parse((unpacked / "template.yaml").read_text())["Metadata"]["AWS::ServerlessRepo::Application"]
    files = [metadata[key] for key in ("LicenseUrl", "ReadmeUrl")]
    checks.same("files of the metadata", [], [name for name in files if not (unpacked / name).exists()])
    return unpacked


def check_guide(checks, guide, template):
    """Checks that every way sets the same parameters, which exist, and returns them."""
    checks.heading("docs/install.md")
    stack = terraform_stack(guide)
    checks.same("arguments that the provider does not have", [], sorted(stack.keys() - ARGUMENTS))
    checks.same("capabilities", ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"], stack["capabilities"])
    parameters = stack["parameters"]
    checks.same("unknown parameters", [], sorted(parameters.keys() - yaml_parse(template)["Parameters"].keys()))

    overrides = re.findall(r"--parameter-overrides (.+)$", guide, re.MULTILINE)
    assigned = " ".join(f"{key}='{value}'" if "*" in value else f"{key}={value}" for key, value in parameters.items())
    checks.same("those of SAM and CloudFormation", [assigned] * 2, [line for line in overrides if "Strategy" in line])
    example = (ROOT / "examples/cdk/app.js").read_text()
    assigned = ", ".join(f'{key}: "{value}"' for key, value in parameters.items())
    checks.same(
        "those of the CDK", [True, True], [f"parameters: {{ {assigned} }}" in text for text in (guide, example)]
    )
    return parameters


def terraform_stack(guide):
    """The arguments of the stack in the Terraform block. The parser puts each value into a list."""
    [block] = re.findall(r"^```hcl\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    [resource] = hcl2.loads(block)["resource"]
    [stack] = resource["aws_cloudformation_stack"].values()
    return {argument: value[0] for argument, value in stack.items() if isinstance(value, list)}


def upload(folder):
    """Uploads the function and the template, as `aws cloudformation package` and `aws s3 cp` do."""
    s3, bucket = boto3.client("s3"), "packages"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": os.environ["AWS_DEFAULT_REGION"]})
    command = [TOOLS / "sam", "package", "--s3-bucket", bucket, "--output-template-file", "packaged.yaml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    s3.upload_file(folder / "packaged.yaml", bucket, "packaged.yaml")
    return f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}/packaged.yaml"


def listed(parameters):
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def change(name, url, parameters):
    """Creates a stack as `aws cloudformation deploy` does."""
    cloudformation = boto3.client("cloudformation")
    chosen = {"StackName": name, "ChangeSetName": "first"}
    cloudformation.create_change_set(
        **chosen,
        ChangeSetType="CREATE",
        TemplateURL=url,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=listed(parameters),
    )
    cloudformation.get_waiter("change_set_create_complete").wait(**chosen, WaiterConfig={"Delay": 1})
    cloudformation.execute_change_set(**chosen)
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def create(name, url, guide):
    """Creates a stack as Terraform does."""
    stack = terraform_stack(guide)
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=url,
        Capabilities=stack["capabilities"],
        Parameters=listed(stack["parameters"]),
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def check_stack(checks, name, parameters):
    awslambda, deployed = boto3.client("lambda"), outputs(name)
    function = awslambda.get_function_configuration(FunctionName=deployed["FunctionName"])
    variables = function["Environment"]["Variables"]
    found = [variables["STRATEGY"], variables["EXCLUDE_CLUSTERS"]]
    checks.same("settings", [parameters["Strategy"], parameters["ExcludeClusters"]], found)
    checks.same("architecture", [ARCHITECTURE], function["Architectures"])
    retries = awslambda.get_function_event_invoke_config(FunctionName=deployed["FunctionName"], Qualifier="$LATEST")
    destination = retries["DestinationConfig"]["OnFailure"]["Destination"]
    checks.same("destination on failure", deployed["DeadLetterQueueArn"], destination)


if __name__ == "__main__":
    main()
