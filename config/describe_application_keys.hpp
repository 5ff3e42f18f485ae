#pragma once
// The settings of application keys; the end of config/describe.hpp, which includes this file.

#include "config/describe.hpp"

namespace cpns::config {

template <>
struct enum_words<identity_form> {
  static constexpr std::array<std::pair<identity_form, std::string_view>, 2> all{
      {{identity_form::readable, "readable"}, {identity_form::opaque, "opaque"}}};
};

template <class V>
void describe(V& v, key_readers& c) {
  v("users", c.users, "Users of this machine.", rules{.max = 100, .text = form::account});
  v("groups", c.groups, "Groups of this machine, also as a supplementary group of the process.",
    rules{.max = 100, .text = form::group});
}

template <class V>
void describe(V& v, key_purpose& c) {
  v("bytes", c.bytes,
    "Length of the keys. Both sides need the same: keys of different lengths share nothing.",
    rules{.min = 16, .max = 64});
  v("identity", c.identity,
    "The name under which a program shows its key. `readable` has the Entity ID; `opaque` tells an observer "
    "neither the device nor the purpose, and changes with each key.",
    rules{});
  v("allow", c.allow,
    "The processes that get these keys: by their user or one of their groups, as the kernel tells. Nobody "
    "else does, root and the user of the role neither, unless they are named.",
    rules{.required = true});
  v("entities", c.entities,
    "Entity IDs, or prefixes and `*`, of the devices whose keys are given. Without it: all.",
    rules{.min = 1, .max = 10'000, .text = form::pattern});
}

template <class V>
void describe(V& v, application_keys_config& c) {
  v("socket", c.socket,
    "Unix socket for the programs that use the keys. It answers nothing else, and nothing else gives keys. "
    "Every user can connect, and is refused with a reason.",
    rules{.required = true});
  v("consumer_wait", c.consumer_wait,
    "Gateway: how long a PNE waits for its next key, until the programs that acknowledge their keys have it. "
    "A program that is late again and again is not waited for. `0s`: nobody is waited for.",
    rules{.max = 20 * bound::second});
  v("overlap", c.overlap,
    "How long a program is still told to accept a key after its successor was confirmed, so that a handshake "
    "under way does not fail. At least the time in which the slowest program connects again. `0s` makes such "
    "handshakes fail, and is for tests.",
    rules{.max = 6 * bound::hour});
  v("purposes", c.purposes,
    "What the keys are for. Both sides need the same name, for example `mqtt`: 1 to 16 of `a-z`, `0-9` and "
    "`-`.",
    rules{.required = true, .max = 64, .text = form::purpose});
}

}  // namespace cpns::config
