/** The API's limits as configuration has them. */
import { API_LIMITS_DEFAULT, type ApiLimits } from '../schema/api-limits.ts';
import type { ServiceConfig } from './service-config.ts';

/** A client that was quiet may begin what it may do in five seconds at once: a page that opens asks for many things. */
const BURST_SECONDS = 5;

export function apiLimitsOf(config: ServiceConfig): ApiLimits {
  return {
    query: {
      tokensMax: config.queryTokens,
      depthMax: config.queryDepth,
      fieldsMax: config.queryFields,
      breadthMax: config.queryBreadth,
      aliasesMax: config.queryAliases,
      directivesMax: config.queryDirectives,
      costMax: config.queryCost,
    },
    pageSizeDefault: API_LIMITS_DEFAULT.pageSizeDefault,
    pageSizeMax: API_LIMITS_DEFAULT.pageSizeMax,
    bodyBytesMax: config.bodyBytes,
    messageBytesMax: Math.min(API_LIMITS_DEFAULT.messageBytesMax, config.bodyBytes),
    executionMsMax: config.executionSeconds * 1_000,
    customer: {
      socketsMax: config.customerSockets,
      subscriptionsMax: config.customerSubscriptions,
      operationsMax: config.customerOperations,
      requestsPerSecond: config.customerRequestsPerSecond,
      requestsBurst: config.customerRequestsPerSecond * BURST_SECONDS,
    },
    service: {
      socketsMax: config.serviceSockets,
      subscriptionsMax: config.serviceSubscriptions,
      operationsMax: config.serviceOperations,
      requestsPerSecond: config.serviceRequestsPerSecond,
      requestsBurst: config.serviceRequestsPerSecond * BURST_SECONDS,
    },
  };
}
