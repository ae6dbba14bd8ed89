"""Sends one message with Amazon's own Python SDK: what a back end has today, pointed at the gateway.

Environment: BASE_URL (both of Amazon's base URLs), USER_ID, DATA (a JSON object); and either API_KEY, or CLIENT_ID and CLIENT_SECRET. With a client the
SDK is used as it is, no line of it changed. With a key it is spared the token, and the check that the URL is https://.
Exit status: 0 for a 2xx answer, 3 for an error that the SDK understood, 4 for one that it could not read.
"""

import json
import os
import sys

import requests
from ask_sdk_model.services.api_configuration import ApiConfiguration
from ask_sdk_model.services.authentication_configuration import AuthenticationConfiguration
from ask_sdk_model.services.lwa.lwa_client import LwaClient
from ask_sdk_model.services.service_exception import ServiceException
from ask_sdk_model.services.skill_messaging import SendSkillMessagingRequest, SkillMessagingServiceClient
from ask_sdk_model_runtime import (
    ApiClientResponse,
    DefaultApiClient,
    DefaultSerializer,
    SerializationException,
)


class PlainApiClient(DefaultApiClient):
    def invoke(self, request):
        fields = self._convert_list_tuples_to_dict(headers_list=request.headers)
        fields["Gateway-Region"] = "NA"
        response = requests.request(
            request.method, request.url, headers=fields, data=json.dumps(request.body), timeout=30
        )
        return ApiClientResponse(
            headers=self._convert_dict_to_list_tuples(response.headers),
            status_code=response.status_code,
            body=response.text,
        )


class GatewayKey:
    """Stands where the SDK's token client stands: the gateway holds Amazon's token."""

    def get_access_token_for_scope(self, scope):
        return os.environ["API_KEY"]


def main():
    has_key = "API_KEY" in os.environ
    api = ApiConfiguration(
        serializer=DefaultSerializer(), api_client=PlainApiClient() if has_key else DefaultApiClient(),
        api_endpoint=os.environ["BASE_URL"])
    credentials = AuthenticationConfiguration(
        client_id=os.environ.get("CLIENT_ID", "unused"), client_secret=os.environ.get("CLIENT_SECRET", "unused"))
    client = SkillMessagingServiceClient(
        api_configuration=api, authentication_configuration=credentials,
        lwa_client=GatewayKey() if has_key else LwaClient(api_configuration=api, authentication_configuration=credentials))
    message = SendSkillMessagingRequest(
        data=json.loads(os.environ.get("DATA", '{"sampleMessage": "Sample Message"}')), expires_after_seconds=60)
    try:
        response = client.send_skill_message(os.environ["USER_ID"], message, full_response=True)
        print("status", response.status_code)
        return 0
    except ServiceException as error:
        print("status", error.status_code)
        return 3
    except SerializationException as error:
        print("unreadable", error)
        return 4


if __name__ == "__main__":
    sys.exit(main())
