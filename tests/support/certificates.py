"""Certificates for tests: an authority, and what it issues."""
from lab import run


def authority(lab, name="authority"):
    """Makes NAME.pem and NAME.key in the laboratory; returns the certificate's file."""
    pem, key = lab.file(f"{name}.pem"), lab.file(f"{name}.key")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}", "-keyout", key, "-out", pem)
    return pem


def issue(lab, name, *addresses, by="authority", days=30, into=None):
    """A pair for these addresses: its files (certificate, key), of this name or that of `into`."""
    into = into or name
    pem, key, request, more = (lab.file(f"{into}.{kind}") for kind in ("pem", "key", "csr", "ext"))
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    more.write_text("subjectAltName=" + ",".join(f"IP:{address}" for address in addresses))
    run("openssl", "x509", "-req", "-in", request, "-CA", lab.file(f"{by}.pem"), "-CAkey", lab.file(f"{by}.key"), "-CAcreateserial", "-days", days, "-extfile", more, "-out", pem)
    return pem, key
