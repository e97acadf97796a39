"""The usual handler: model from S3, bars from DynamoDB by boto3, features by pandas, all when it is asked."""

import json
import os
from typing import Any

import boto3
import boto3.dynamodb.conditions
import numpy as np
import pandas as pd
import xgboost as xgb

TABLE = boto3.resource("dynamodb").Table(os.environ["BARS_TABLE"])
STORED = boto3.client("s3").get_object(Bucket=os.environ["MODEL_BUCKET"], Key=os.environ["MODEL_KEY"])
MODEL = xgb.Booster(model_file=bytearray(STORED["Body"].read()))
HORIZONS = (1, 5, 15, 60)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    page = TABLE.query(
        KeyConditionExpression=boto3.dynamodb.conditions.Key("market").eq(os.environ["MARKETS"]),
        ScanIndexForward=False,
        Limit=180,
    )
    frame = pd.DataFrame(page["Items"]).sort_values("start")
    close = frame["close"].astype(float) / 1e8
    returns = np.log(close).diff()
    columns = {f"return_{window}": returns.rolling(window).sum() for window in (1, 5, 15, 60)}
    columns |= {f"volatility_{window}": returns.rolling(window).std() for window in (5, 15, 60)}
    quantiles = MODEL.inplace_predict(pd.DataFrame(columns).iloc[[-1]])[0]
    told = [
        {"horizon": horizon, "quantiles": [float(close.iloc[-1] * np.exp(each * horizon**0.5)) for each in quantiles]}
        for horizon in HORIZONS
    ]
    return {"statusCode": 200, "body": json.dumps({"as_of": frame["start"].iloc[-1], "forecasts": told})}
