"""Plans that come by themselves: over the network (``rtqc node``) or into a folder (``rtqc watch``).

What was received, is to be checked or is to be sent lies on disk in whole files and folders that are renamed in one step, so that a node
that was killed goes on where it was: nothing is lost, and nothing is done twice.
"""

from rtqc.node.config import Destination, NodeConfig, example_config, load_config
from rtqc.node.inbox import Inbox
from rtqc.node.outbox import Outbox
from rtqc.node.service import Node, NodeBusyError
from rtqc.node.watch import Watcher

__all__ = ["Destination", "Inbox", "Node", "NodeBusyError", "NodeConfig", "Outbox", "Watcher", "example_config", "load_config"]
