#include "crypto/tls_internal.hpp"

namespace cpns::crypto {

constinit const std::string_view detail::link_alpn_list{"\x08"
                                                        "cpns/1.1"
                                                        "\x06"
                                                        "cpns/1"};

}  // namespace cpns::crypto
