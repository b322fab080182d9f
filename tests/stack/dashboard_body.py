"""The dashboard in template.yaml, as CloudFormation would make it."""

import json

from intrinsics import Template


class Stack(Template):
    """The stack, with these parameters and the defaults of the others."""

    def __init__(self, parameters):
        super().__init__("template.yaml", parameters)
        self.values["AWS::StackName"] = "spot-interruption-handler"

    def sub(self, of):
        # What begins with `${!` is the dashboard's own, and loses the exclamation mark.
        text, values = (of, {}) if isinstance(of, str) else of
        return super().sub([text.replace("${!", "$\0"), values]).replace("$\0", "${")

    def of_type(self, kind):
        """The properties of the resources of a type that are made, by their name in the template."""
        return {name: made["Properties"] for name, made in self.resources().items() if made["Type"] == kind}

    def dashboard(self):
        """The dashboard's JSON. In place of a resource's name it has that of the template."""
        [dashboard] = self.of_type("AWS::CloudWatch::Dashboard").values()
        return json.loads(dashboard["DashboardBody"])
