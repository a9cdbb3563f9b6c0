"""Rewards from a palate server, for trainers and scripts; imports neither torch nor the rest of palate.

answers    what the server says of each input
retries    when to ask again, and when not to
http       AsyncRewardClient: pooled connections, retries, a limit on requests at once
blocking   RewardClient: the same without `await`
trl        RemoteReward: a reward function for TRL's GRPO and RLOO trainers
"""

from palate.client.answers import ClientError, Score
from palate.client.blocking import RewardClient
from palate.client.http import AsyncRewardClient
from palate.client.trl import RemoteReward

__all__ = ["AsyncRewardClient", "ClientError", "RemoteReward", "RewardClient", "Score"]
