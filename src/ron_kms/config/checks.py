"""Settings that are right one by one and wrong together."""

from __future__ import annotations

from ron_kms.config.settings import Settings


def contradictions(settings: Settings) -> list[str]:
    """All that does not go together, a sentence each."""
    faults = []
    if (settings.tls_cert is None) != (settings.tls_key is None):
        faults.append("tls_cert and tls_key are needed together")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        faults.append("tls_client_ca needs tls_cert and tls_key")
    if settings.tls_pq == "require" and settings.tls_cert is None:
        faults.append("tls_pq is 'require': it needs tls_cert and tls_key")
    if not settings.insecure_plaintext:
        if not settings.tls and not settings.http_addr.loopback:
            faults.append("http_addr is not on loopback: it needs tls_cert and tls_key, or --insecure-plaintext")
        if not settings.operator_addr.loopback:
            faults.append("operator_addr is not on loopback: it serves plain text, which needs --insecure-plaintext")
    if settings.pq_verify_mode == "and" and not settings.pq_produce_hybrid:
        faults.append("pq_verify_mode is 'and': it needs pq_produce_hybrid, or it would refuse what is newly made")
    if settings.http_addr == settings.operator_addr and settings.http_addr.port:
        faults.append("http_addr and operator_addr are the same")
    return faults
