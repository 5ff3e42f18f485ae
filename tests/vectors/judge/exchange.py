"""One whole exchange of the radio link from its inputs: every value of the key schedule, every message."""

import keys
import wire


def _hex(v):
    return None if v is None else v.hex()


def run(i: dict) -> dict:
    """`i`: the inputs of a vector of type "Exchange". Returns its expected `out`."""
    b = {k: bytes.fromhex(v) for k, v in i.items() if isinstance(v, str) and k not in ("gw_kind", "gw_name", "entity_id")}
    suite, chained, new_epoch, old_epoch = i["suite"], i["chained"], i["new_epoch"], i["old_epoch"]
    generation = new_epoch >> 16
    gw = keys.gateway_id(i["gw_kind"], i["gw_name"])
    issuer = keys.issuer_nonce(b["k_iss"], gw, i["issuer_slot"]) if i["with_presence"] else None
    dreq = wire.encode("DREQ", {"version": 1, "gw_id": gw.hex(), "gw_nonce": i["gw_nonce"], "issuer_nonce": _hex(issuer),
                                "suites": i["suites"]})

    tk_prime = keys.temporary_key(i["entity_id"], b["tk"])
    tkg = keys.gateway_temporary_key(tk_prime, gw, generation)
    pne_share = keys.x25519_public(b["pne_private"]) if suite == 2 else None
    first_eight = [2, b["gw_nonce"][:4], i["entity_id"], b["pne_nonce"], suite, pne_share, old_epoch, i["resets"]]
    th1 = keys.transcript1(dreq, wire.E(first_eight))
    possession = keys.possession(b["old_eukey"], th1) if old_epoch is not None else None
    presence = keys.presence(keys.presence_key(tk_prime), th1, possession) if i["with_presence"] else None
    drsp = wire.E(first_eight + [possession, presence])

    gw_share = keys.x25519_public(b["gw_private"]) if suite == 2 else b["gw_random"]
    th2 = keys.transcript2(th1, possession, presence, new_epoch, chained, gw_share)
    z = keys.x25519(b["gw_private"], pne_share) if suite == 2 else keys.ZERO
    if suite == 2:
        assert z == keys.x25519(b["pne_private"], gw_share)
    c = keys.chain(b["old_eukey"], gw, generation) if chained else keys.ZERO
    key, nonce = keys.delivery_key(th2, tkg, z, c)
    sealed = keys.seal(key, nonce, th2, b["new_eukey"], b["owner_tag"], i["rekey_seconds"])
    kdel = wire.encode("KDEL", {"epoch": new_epoch, "chained": chained, "gw_share": gw_share.hex(), "sealed": sealed.hex()})
    confirm = keys.confirm(b["new_eukey"], th2)
    retire = keys.retire(b["new_eukey"], th1)
    return {
        "gw_id": gw.hex(), "issuer_nonce": _hex(issuer), "dreq": dreq.hex(), "tk_prime": tk_prime.hex(), "tkg": tkg.hex(),
        "pne_share": _hex(pne_share), "drsp_first_eight": wire.E(first_eight).hex(), "th1": th1.hex(),
        "possession": _hex(possession), "presence": _hex(presence), "drsp": drsp.hex(), "gw_share": gw_share.hex(),
        "th2": th2.hex(), "z": z.hex(), "c": c.hex(), "key": key.hex(), "nonce": nonce.hex(),
        "aad": keys.delivery_aad(th2).hex(),
        "plaintext": wire.E([b["new_eukey"], b["owner_tag"], i["rekey_seconds"]]).hex(), "sealed": sealed.hex(),
        "kdel": kdel.hex(), "confirm": confirm.hex(),
        "kcnf": wire.encode("KCNF", {"epoch": new_epoch, "confirm": confirm.hex()}).hex(), "retire": retire.hex(),
        "kret": wire.encode("KRET", {"epoch": new_epoch, "retire": retire.hex()}).hex(),
    }
