// The release before this one, as far as others can tell: its server link has no requests of a server to a gateway.

#include "crypto/tls_internal.hpp"

namespace cpns::crypto {

constinit const std::string_view detail::link_alpn_list{"\x06"
                                                        "cpns/1"};

}  // namespace cpns::crypto
