"""Evaluates the dashboard in template.yaml as CloudFormation does."""

import json

from intrinsics import Template


class Stack(Template):
    """The stack with these parameters and the defaults of the others."""

    def __init__(self, parameters):
        super().__init__("template.yaml", parameters)
        self.values["AWS::StackName"] = "spot-interruption-handler"

    def sub(self, of):
        # CloudFormation turns `${!` into a literal `${`.
        text, values = (of, {}) if isinstance(of, str) else of
        return super().sub([text.replace("${!", "$\0"), values]).replace("$\0", "${")

    def of_type(self, kind):
        """The properties of the created resources of a type, by logical ID."""
        return {name: of["Properties"] for name, of in self.resources().items() if of["Type"] == kind}

    def dashboard(self):
        """The dashboard's JSON, with logical IDs in place of the names of resources."""
        [dashboard] = self.of_type("AWS::CloudWatch::Dashboard").values()
        return json.loads(dashboard["DashboardBody"])
