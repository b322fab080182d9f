"""Values for the parameters of template.yaml."""

from local import ACCOUNT, REGION

DEFAULTS = {
    "Strategy": "deregister",
    "DryRun": "false",
    "Clusters": "*",
    "ExcludeClusters": "",
    "ClusterTag": "",
    "ManagedDraining": "respect",
    "StandaloneTasks": "stop",
    "RebalanceRecommendation": "ignore",
    "ReactivateResumed": "true",
    "CleanUpTerminated": "false",
    "OrganizationId": "",
    "MemberRoleName": "",
    "ExternalId": "",
    "Accounts": "",
    "OutcomeBusArn": "",
    "Delivery": "queue",
    "Architecture": "x86_64",
    "LogRetentionDays": "30",
    "LogLevel": "INFO",
    "Dashboard": "true",
    "AlarmTopicArn": "",
}

# The build is for x86_64, so the tests deploy a function of another architecture but do not invoke it.
ALL_SET = {
    "Strategy": "evacuate",
    "DryRun": "true",
    "Clusters": "web-*, api-?",
    "ExcludeClusters": "web-canary",
    "ClusterTag": "ecs:cluster",
    "ManagedDraining": "override",
    "StandaloneTasks": "leave",
    "RebalanceRecommendation": "drain",
    "ReactivateResumed": "false",
    "CleanUpTerminated": "true",
    "OrganizationId": "o-exampleorgid",
    "MemberRoleName": "spot-interruption-handler-member",
    "ExternalId": "example:id",
    "Accounts": f"{ACCOUNT},210987654321",
    "OutcomeBusArn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
    "Delivery": "direct",
    "Architecture": "arm64",
    "LogRetentionDays": "365",
    "LogLevel": "DEBUG",
    "Dashboard": "false",
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
}
