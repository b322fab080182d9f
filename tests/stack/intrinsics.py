"""Evaluates the intrinsic functions that the templates use, for given parameters.

No resource is created, so a reference to one yields its logical ID, and an attribute yields `LogicalId.Attribute`.
"""

import re
from functools import cache

from samcli.yamlhelper import yaml_parse

from local import ACCOUNT, REGION, ROOT

NO_VALUE = object()


class Template:
    """A template with a value for each parameter, in an account and Region."""

    def __init__(self, file, parameters, account=ACCOUNT, region=REGION):
        self.body = body(file)
        defaults = {name: about.get("Default") for name, about in self.body["Parameters"].items()}
        if unknown := parameters.keys() - defaults.keys():
            raise KeyError(f"{file} has no {sorted(unknown)}")
        pseudo = {"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": "aws"}
        pseudo |= {"AWS::StackName": "stack", "AWS::NoValue": NO_VALUE}
        self.values = defaults | parameters | pseudo

    def holds(self, name):
        """Whether a condition holds."""
        return self.value(self.body["Conditions"][name])

    def resources(self):
        """The resources whose condition holds, with their properties, by logical ID."""
        created = {}
        for name, of in self.body["Resources"].items():
            if "Condition" not in of or self.holds(of["Condition"]):
                created[name] = {"Type": of["Type"], "Properties": self.value(of.get("Properties", {}))}
        return created

    def rejections(self):
        """The messages with which CloudFormation rejects the values."""
        messages = []
        for name, about in self.body["Parameters"].items():
            pattern, value = about.get("AllowedPattern", ""), str(self.values[name])
            is_allowed = re.search(pattern, value) and value in map(str, about.get("AllowedValues", [value]))
            if about["Type"] == "Number":
                is_allowed &= about.get("MinValue", int(value)) <= int(value) <= about.get("MaxValue", int(value))
            if not is_allowed or len(value) > about.get("MaxLength", len(value)):
                messages.append(f"{name} {about['ConstraintDescription']}")
        for rule in self.body.get("Rules", {}).values():
            if self.value(rule.get("RuleCondition", True)):
                messages += [a["AssertDescription"] for a in rule["Assertions"] if not self.value(a["Assert"])]
        return messages

    def value(self, of):
        """The value of an expression."""
        if isinstance(of, list):
            return [v for v in map(self.value, of) if v is not NO_VALUE]
        if not isinstance(of, dict):
            return of
        if len(of) == 1:
            [(function, given)] = of.items()
            if function in FUNCTIONS:
                return FUNCTIONS[function](self, given)
        values = {key: self.value(value) for key, value in of.items()}
        return {key: value for key, value in values.items() if value is not NO_VALUE}

    def sub(self, of):
        text, values = (of, {}) if isinstance(of, str) else (of[0], self.value(of[1]))
        return re.sub(r"\$\{([^}]+)\}", lambda name: str((self.values | values).get(name[1], name[1])), text)


@cache
def body(file):
    return yaml_parse((ROOT / file).read_text())


def get_att(template, of):
    return of if isinstance(of, str) else ".".join(of)


FUNCTIONS = {
    "Ref": lambda t, of: t.values.get(of, of),
    # The Condition of a policy statement is a mapping, not the name of a condition.
    "Condition": lambda t, of: t.holds(of) if isinstance(of, str) else {"Condition": t.value(of)},
    "Fn::And": lambda t, of: all(t.value(of)),
    "Fn::Equals": lambda t, of: str(t.value(of[0])) == str(t.value(of[1])),
    "Fn::FindInMap": lambda t, of: t.body["Mappings"][of[0]][of[1]][of[2]],
    "Fn::GetAtt": get_att,
    "Fn::If": lambda t, of: t.value(of[1] if t.holds(of[0]) else of[2]),
    "Fn::Join": lambda t, of: of[0].join(map(str, t.value(of[1]))),
    "Fn::Not": lambda t, of: not t.value(of[0]),
    "Fn::Or": lambda t, of: any(t.value(of)),
    "Fn::Select": lambda t, of: t.value(of[1])[int(of[0])],
    "Fn::Split": lambda t, of: t.value(of[1]).split(of[0]),
    "Fn::Sub": lambda t, of: t.sub(of),
}
