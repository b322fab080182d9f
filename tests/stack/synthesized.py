"""Compares what the CDK has made of template.yaml with template.yaml.

python tests/stack/synthesized.py spot-interruption-handler.template.json
"""

import json
import re
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse

from local import ROOT, Checks


def main():
    checks = Checks()
    template = yaml_parse((ROOT / "template.yaml").read_text())
    synthesized = json.loads(Path(sys.argv[1]).read_text())
    constants = re.search(r"parameters: \{(.*)\}", (ROOT / "examples/cdk/app.js").read_text())[1]
    constants = dict(re.findall(r'(\w+): "([^"]*)"', constants))
    # The CDK adds the version of its bootstrap stack.
    added = {"BootstrapVersion"}

    parameters = template["Parameters"].keys() - constants.keys()
    checks.same("parameters", sorted(parameters), sorted(synthesized["Parameters"].keys() - added))
    for section in "Resources", "Conditions", "Mappings":
        lost = template[section].keys() - synthesized[section].keys()
        checks.same(f"lost from {section}", [], sorted(lost))
    differing = [name for name, one in template["Resources"].items() if one["Type"] != kind(synthesized, name)]
    checks.same("other types", [], differing)
    checks.same("lost from Outputs", [], sorted(template["Outputs"].keys() - synthesized["Outputs"].keys()))
    variables = synthesized["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    found = [variables["STRATEGY"], variables["EXCLUDE_CLUSTERS"]]
    checks.same("constants", [constants["Strategy"], constants["ExcludeClusters"]], found)
    checks.done()


def kind(template, name):
    return template["Resources"][name]["Type"]


if __name__ == "__main__":
    main()
