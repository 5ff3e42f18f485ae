// Debian has Boost.JSON as headers alone; its definitions are compiled once, in this file (target cpns_json).
#include <boost/json/src.hpp>
