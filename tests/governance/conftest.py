import pytest

from twinlab.governance.audit_log import AuditLog
from twinlab.governance.signature import SigningKey


@pytest.fixture(scope="session")
def key():
    return SigningKey()


@pytest.fixture
def log(tmp_path):
    """Two people, and entries about each, both and nobody."""
    log = AuditLog(tmp_path / "audit.sqlite")
    log.append("consent_given", {"purpose": "personal_twin"}, ["ada"])
    log.append("training", {"experiment": "ab12", "epsilon": 0.1}, ["ada", "bob"])
    log.append("release", {"what": "weights"})
    log.append("query", {"signals": ["steps", "sleep_min"]}, ["bob"])
    return log
