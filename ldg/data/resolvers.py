"""Facts about data sets that YAML files look up, so that one override is enough: ``num_classes`` follows ``split``."""

from omegaconf import OmegaConf

from ldg.data.emnist import CHARACTERS
from ldg.data.stanford_dogs import BREEDS


def register() -> None:
    """Make the resolvers known to OmegaConf: before a config of the ``data`` group is composed."""
    # an impossible split has no number of classes; what is wrong about it is for the check of `split` to say
    OmegaConf.register_new_resolver("emnist_classes", lambda split: len(CHARACTERS.get(split, "")), replace=True)
    OmegaConf.register_new_resolver(
        "dog_classes", lambda breeds: len(BREEDS if breeds is None else breeds), replace=True
    )
