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

# What is built stays the same, so the function of another architecture is deployed but not invoked.
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
