// Takes the packaged template into a CDK app. docs/install.md says how to make packaged.yaml.
//
//     npm ci && npx aws-cdk deploy --app "node app.js ../../packaged.yaml"
import { App, Stack } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";

const app = new App();
const stack = new Stack(app, "spot-interruption-handler");
// What it returns gives access to the resources, such as getResource("FunctionRole").
new CfnInclude(stack, "Handler", {
  templateFile: process.argv[2] ?? "packaged.yaml",
  parameters: { Strategy: "evacuate", ExcludeClusters: "legacy-*" },
});
app.synth();
